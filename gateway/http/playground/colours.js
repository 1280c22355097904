// One ramp of colours for the code map and the waveform, in the dark and in the light.

const DARK = ["#1d1638", "#43278f", "#8a2fa8", "#d9447e", "#fb7350", "#ffb25e", "#fff0c2"];
const LIGHT = ["#fbe6c8", "#fdc583", "#f98c57", "#dc4a6c", "#a02b8d", "#5a2490", "#251551"];
const STEPS = 256;
let table = [];

const parsed = (hex) => [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16));

function tableOf(stops) {
  const colours = stops.map(parsed);
  return Array.from({ length: STEPS }, (_, step) => {
    const at = (step / (STEPS - 1)) * (colours.length - 1);
    const low = Math.min(colours.length - 2, Math.floor(at));
    const mixed = colours[low].map((from, n) => Math.round(from + (colours[low + 1][n] - from) * (at - low)));
    return `rgb(${mixed.join(" ")})`;
  });
}

/** The colour of a part, 0..1. */
export function ramp(part) {
  return table[Math.max(0, Math.min(STEPS - 1, Math.round(part * (STEPS - 1))))];
}

/** Which of the two there are: "dark" or "light". */
export function theme() {
  return document.documentElement.dataset.theme;
}

/** Takes a theme from now on. */
export function take(name) {
  document.documentElement.dataset.theme = name;
  table = tableOf(name === "light" ? LIGHT : DARK);
}

/** Takes the one that was chosen before, or the system's. */
export function takeStored() {
  let chosen = null;
  try {
    chosen = localStorage.getItem("csm-theme");
  } catch { /* storage is closed to this page */ }
  const light = window.matchMedia("(prefers-color-scheme: light)");
  take(chosen ?? (light.matches ? "light" : "dark"));
  return light;
}

/** The other one, which is remembered. */
export function toggle() {
  take(theme() === "dark" ? "light" : "dark");
  try {
    localStorage.setItem("csm-theme", theme());
  } catch { /* it holds for this visit */ }
}

/** Draws the ramp itself. */
export function drawRamp(canvas) {
  const paint = canvas.getContext("2d");
  for (let x = 0; x < canvas.width; x++) {
    paint.fillStyle = ramp(x / (canvas.width - 1));
    paint.fillRect(x, 0, 1, canvas.height);
  }
}
