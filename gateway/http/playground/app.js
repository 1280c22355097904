// The page: its parts put together, and what keys and buttons do.

import { Bubbles } from "./bubbles.js";
import { call } from "./api.js";
import * as colours from "./colours.js";
import { by } from "./elements.js";
import { showLatency } from "./latency.js";
import { Maker } from "./maker.js";
import { Microphone, SpeechDetector } from "./microphone.js";
import { clearSpoken, prepareSoon, showWarnings } from "./spoken.js";
import { Stage } from "./stage.js";
import { Talk, modelName } from "./talk.js";
import { asksForToken, onToken } from "./token.js";
import { chosenVoice, loadVoices, showMade } from "./voices.js";

const light = colours.takeStored();
const stage = new Stage(by("waveform"), by("codes"));
const bubbles = new Bubbles({ replay });
const talk = new Talk({ turn: newTurn, gone: (turn) => bubbles.remove(turn), changed, state });
const detector = new SpeechDetector({
  began: (blocks) => {
    talk.interrupt();
    talk.hear(blocks);
  },
  more: (block) => talk.hearMore(block),
  ended: () => talk.heard(),
});
const maker = new Maker({ made, recording: () => { stopListening(); talk.interrupt(); } });
let microphone = null;
let model = "";
let toasted = 0;

// --- what happens ---

function newTurn(turn) {
  by("hint").hidden = true;
  bubbles.add(turn);
  if (!talk.player.playing) look(turn);
}

function look(turn) {
  stage.show(turn);
  showLatency(turn);
}

function changed(turn) {
  bubbles.update(turn);
  if (stage.turn === turn) showLatency(turn);
  if (turn.completed?.warnings?.length && !by("text").value) showWarnings(turn.completed.warnings, turn.text);
  describe(turn);
}

function describe(turn) {
  if (stage.turn !== turn) return;
  const length = `${(turn.milliseconds / 1000).toFixed(1)} seconds`;
  by("waveform").ariaLabel = `Waveform of ${length}`;
  by("codes").ariaLabel = turn.codes.length
    ? `Code map: ${turn.codes.length} frames of ${turn.codes[0].length} codes` : "Code map: there are none of what was heard";
}

function state(name, error) {
  by("status").dataset.state = name;
  by("status").textContent = { ready: model, idle: "asleep", gone: "connecting" }[name];
  if (name === "ready" && talk.codec) {
    stage.codec = talk.codec;
    by("legend-rows").textContent = `${talk.codec.num_codebooks} codebooks × time, a column is ${talk.codec.frame_ms} ms`;
    by("ramp-most").textContent = talk.codec.codebook_size - 1;
  }
  if (error) toast(error.message);
}

function toast(text) {
  by("toast").textContent = text;
  by("toast").hidden = false;
  clearTimeout(toasted);
  toasted = setTimeout(() => { by("toast").hidden = true; }, 6000);
}

function replay(turn) {
  const here = talk.player.playing && talk.player.now().turn === turn;
  talk.player.wake();
  if (talk.speaking) talk.interrupt();
  if (here) return;
  look(turn);
  talk.player.replay(turn);
}

async function made(name) {
  await loadVoices(name);
  showMade(forget);
  changeVoice();
}

async function forget(name) {
  try {
    await call(`v1/audio/voices/${encodeURIComponent(name)}`, { method: "DELETE" });
  } catch (error) {
    toast(error.message);
  }
  const before = chosenVoice();
  await loadVoices();
  showMade(forget);
  if (chosenVoice() !== before) changeVoice();
}

function changeVoice() {
  talk.again({ voice: chosenVoice() });
  prepareSoon(by("text").value, chosenVoice());
}

// --- text ---

function speak(asked) {
  const text = by("text").value.trim();
  if (!text) return;
  by("text").value = "";
  clearSpoken();
  talk.speak(text, chosenVoice(), asked);
}

by("text").addEventListener("input", ({ target }) => {
  talk.player.wake();
  prepareSoon(target.value, chosenVoice());
});
by("text").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  speak(performance.now());
});
by("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  if (talk.speaking) talk.interrupt();
  else speak(performance.now());
});

// --- interruptions ---

document.addEventListener("keydown", (event) => {
  if (event.repeat || !talk.speaking || !["Escape", " "].includes(event.key)) return;
  const { target } = event;
  const writes = target.matches("input, textarea, select") && (target.id !== "text" || target.value);
  if (event.key === " " && (writes || target.matches("button, a"))) return;
  event.preventDefault();
  talk.interrupt();
});

async function listen() {
  if (microphone) return stopListening();
  const button = by("microphone");
  button.disabled = true;
  talk.player.wake();
  try {
    microphone = await Microphone.open((samples, level) => {
      by("level").style.setProperty("--level", (1 + Math.min(0.5, level * 5)).toFixed(2));
      if (microphone) detector.feed(samples, level);
    });
    button.ariaPressed = "true";
  } catch (error) {
    toast(error.message);
  } finally {
    button.disabled = false;
  }
}

function stopListening() {
  detector.end();
  microphone?.close();
  microphone = null;
  by("microphone").ariaPressed = "false";
}

by("microphone").addEventListener("click", listen);

// --- the rest ---

by("voice").addEventListener("change", changeVoice);
by("anew").addEventListener("click", () => {
  talk.again({ anew: true });
  bubbles.clear();
  stage.show(null);
  by("hint").hidden = false;
});
function recolour() {
  stage.recolour();
  colours.drawRamp(by("ramp"));
}
by("theme").addEventListener("click", () => {
  colours.toggle();
  recolour();
});
light.addEventListener("change", ({ matches }) => {
  colours.take(matches ? "light" : "dark");
  recolour();
});
by("codes").addEventListener("pointermove", ({ offsetX, offsetY }) => {
  const found = stage.at(offsetX, offsetY);
  const tip = by("tip");
  tip.hidden = !found;
  if (!found) return;
  tip.textContent = `frame ${found.frame}  codebook ${found.codebook}  code ${found.code}`;
  const most = by("screens").clientWidth - tip.offsetWidth - 8;
  tip.style.left = `${Math.max(8, Math.min(most, offsetX + 12))}px`;
});
by("codes").addEventListener("pointerleave", () => { by("tip").hidden = true; });

let speaking = false;
function frame() {
  const now = talk.player.now();
  const playing = now && !now.ended ? now : null;
  if (playing && playing.turn !== stage.turn) look(playing.turn);
  stage.draw(playing && playing.turn === stage.turn ? playing.ms : null);
  const shown = stage.turn;
  const ms = playing ? playing.ms : shown?.keptMs ?? shown?.milliseconds ?? 0;
  by("clock").firstElementChild.textContent = (ms / 1000).toFixed(1);
  bubbles.playing(playing?.turn ?? null);
  talk.tellPosition();
  if (talk.speaking !== speaking) {
    speaking = !speaking;
    by("speak").dataset.speaking = speaking;
    by("speak-label").textContent = speaking ? "Interrupt" : "Speak";
  }
  requestAnimationFrame(frame);
}

async function begin() {
  try {
    await loadVoices();
    showMade(forget);
    model = await modelName();
    if (talk.conversation.socket) return talk.again({ voice: chosenVoice() });
    talk.conversation.voice = chosenVoice();
    talk.conversation.connect();
  } catch (error) {
    by("status").dataset.state = "gone";
    by("status").textContent = "no answer";
    if (asksForToken()) {
      by("status").textContent = "needs a token";
      return; // it begins again with the token
    }
    toast(error.message);
    setTimeout(begin, 3000);
  }
}

recolour();
requestAnimationFrame(frame);
onToken(begin);
begin();

// For tests and for the curious: what the page is at.
window.csm = { talk, stage, maker, detector };
