// Making a voice: a recording or a file, its words, and the report on it.

import { call } from "./api.js";
import { by, make } from "./elements.js";
import { Microphone } from "./microphone.js";
import { wavOf } from "./turn.js";

const MOST_MS = 30000;
const BLOCK_MS = 20;

export class Maker {
  /** `on.made(name)`: there is a new voice; `on.recording()`: silence, please. */
  constructor(on) {
    this.on = on;
    this.take = null; // a Blob with its name
    this.microphone = null;
    this.blocks = [];
    by("record").onclick = () => this.record();
    by("voice-file").onchange = ({ target }) => this.took(target.files[0] ?? null, "");
    by("voice-name").oninput = () => this.ready();
    by("voice-words").oninput = () => this.ready();
    by("maker").onsubmit = (event) => {
      event.preventDefault();
      if (!by("make").disabled) this.make();
    };
  }

  ready() {
    const filled = by("voice-name").value.trim() && by("voice-words").value.trim();
    by("make").disabled = !(filled && this.take) || this.making;
  }

  took(blob, about) {
    this.take = blob;
    by("take").textContent = blob ? about : "";
    this.ready();
  }

  async record() {
    if (this.microphone || this.opening) return this.recorded();
    this.blocks = [];
    this.on.recording();
    this.opening = true;
    try {
      this.microphone = await Microphone.open((samples) => this.heard(samples));
    } catch (error) {
      by("take").textContent = error.message;
      return;
    } finally {
      this.opening = false;
    }
    by("record").ariaPressed = "true";
    by("record-label").textContent = "Stop";
  }

  heard(samples) {
    if (!this.microphone) return;
    this.blocks.push(samples);
    const ms = this.blocks.length * BLOCK_MS;
    by("take").textContent = `${(ms / 1000).toFixed(1)} s`;
    if (ms >= MOST_MS) this.recorded();
  }

  recorded() {
    this.microphone?.close();
    this.microphone = null;
    by("record").ariaPressed = "false";
    by("record-label").textContent = "Record";
    if (!this.blocks.length) return;
    const whole = new Float32Array(this.blocks.reduce((sum, block) => sum + block.length, 0));
    let at = 0;
    for (const block of this.blocks) {
      whole.set(block, at);
      at += block.length;
    }
    by("voice-file").value = "";
    this.took(wavOf(whole), `A recording of ${((this.blocks.length * BLOCK_MS) / 1000).toFixed(1)} s`);
  }

  async make() {
    const name = by("voice-name").value.trim();
    const form = new FormData();
    form.append("name", name);
    form.append("text", by("voice-words").value.trim());
    form.append("file", this.take, this.take.name ?? "recording.wav");
    this.making = true;
    this.ready();
    by("report").replaceChildren("Listening to it…");
    try {
      const made = await call("v1/audio/voices", { method: "POST", body: form });
      by("report").replaceChildren(...report(made));
      by("voice-name").value = by("voice-file").value = "";
      this.took(null, "");
      await this.on.made(made.name);
    } catch (error) {
      by("report").replaceChildren(make("ul", { className: "warnings" }, make("li", {}, error.message)));
    } finally {
      this.making = false;
      this.ready();
    }
  }
}

/** The measures of a recording, each with what is good. */
function report(made) {
  const parts = [make("h3", {}, `${made.name} speaks from now on`)];
  for (const one of made.recordings) {
    const distance = one.loudness_lufs - one.noise_dbfs;
    parts.push(
      meter("length", one.audio_ms / 15000, `${(one.audio_ms / 1000).toFixed(1)} s`, one.audio_ms >= 3000),
      meter("loudness", (one.loudness_lufs + 50) / 50, `${one.loudness_lufs.toFixed(0)} LUFS`, one.loudness_lufs > -35),
      meter("peak", (one.peak_dbfs + 50) / 50, `${one.peak_dbfs.toFixed(0)} dB`, one.peak_dbfs < -0.3),
      meter("over noise", distance / 60, `${distance.toFixed(0)} dB`, distance >= 15),
    );
    if (one.warnings.length) {
      parts.push(make("ul", { className: "warnings" }, ...one.warnings.map((told) => make("li", {}, told))));
    }
  }
  return parts;
}

function meter(name, part, told, good) {
  const bar = make("i");
  const row = make(
    "div", { className: "meter", "data-good": String(good) },
    make("span", {}, name), make("span", { className: "track" }, bar), make("b", {}, told),
  );
  row.style.setProperty("--part", `${Math.round(Math.max(0, Math.min(1, part)) * 100)}%`);
  return row;
}
