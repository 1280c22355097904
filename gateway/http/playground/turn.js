// A turn: its text, its sound and codes as they come, and when each chunk of it is played.

export const RATE_HZ = 24000;
export const PEAK_SAMPLES = 240;

export class Turn {
  /** `side`: "spoken" or "heard"; `asked` is the time of the page's clock when it was asked for. */
  constructor(side, text, voice, asked = performance.now()) {
    Object.assign(this, { side, text, voice, asked, id: "" });
    this.chunks = []; // {first, samples, textChars}: consecutive
    this.numSamples = 0;
    this.peaks = []; // highest |sample| of each 10 ms
    this.codes = []; // [frames][codebooks]
    this.runs = []; // {frame, count, first, samples}: frames in a row, and the samples they are over
    this.completed = null;
    this.keptMs = null; // of a turn that was cut: what was heard
    this.keptChars = null;
    this.arrived = this.sounded = null; // times of the first audio
  }

  get over() {
    return this.completed !== null;
  }

  get milliseconds() {
    return (this.numSamples / RATE_HZ) * 1000;
  }

  /** Puts frames where their sound is: a chunk of silence has none, a trimmed one has more. */
  place(codes, first, samples) {
    const run = this.runs.at(-1);
    const goesOn = run && run.first + run.samples === first
      && Math.abs(run.samples / run.count - samples / codes.length) < 1;
    if (goesOn) {
      run.count += codes.length;
      run.samples += samples;
    } else this.runs.push({ frame: this.codes.length, count: codes.length, first, samples });
    this.codes.push(...codes);
  }

  /** Appends samples (Float32Array), which begin when so much of the text has begun. */
  add(samples, textChars = this.text.length, codes = []) {
    if (codes.length) this.place(codes, this.numSamples, samples.length);
    if (this.arrived === null) this.arrived = performance.now();
    const chunk = { first: this.numSamples, samples, textChars };
    for (let at = 0; at < samples.length; at++) {
      const slot = Math.floor((this.numSamples + at) / PEAK_SAMPLES);
      const level = Math.abs(samples[at]);
      if (!(this.peaks[slot] >= level)) this.peaks[slot] = level;
    }
    this.chunks.push(chunk);
    this.numSamples += samples.length;
    return chunk;
  }

  /** All samples, or those of the first so many milliseconds. */
  sound(ms = this.milliseconds) {
    const most = Math.min(this.numSamples, Math.round((ms / 1000) * RATE_HZ));
    const whole = new Float32Array(most);
    for (const { first, samples } of this.chunks) {
      if (first >= most) break;
      whole.set(samples.subarray(0, most - first), first);
    }
    return whole;
  }

  /** It was cut when `ms` had been heard. */
  cut(ms) {
    this.keptMs = ms;
    this.keptChars = this.charsUntil(ms);
  }

  /** It failed: what was made of it is still played, and no more comes. */
  broke() {
    if (this.keptMs === null) this.keptChars = this.charsUntil(this.milliseconds);
  }

  /** Characters of the text that had been heard by then, to the end of a word. */
  charsUntil(ms) {
    const whole = this.over && !["cancelled", "error"].includes(this.completed.finish_reason);
    if (whole && ms >= this.milliseconds) {
      return this.text.length;
    }
    const at = (ms / 1000) * RATE_HZ;
    const now = this.chunks.findLast((chunk) => chunk.first < at);
    if (!now) return 0;
    // The sentence that is being spoken, and how much of it, by time.
    const of = this.chunks.filter((chunk) => chunk.textChars === now.textChars);
    const before = Math.max(0, ...this.chunks.map((c) => (c.textChars < now.textChars ? c.textChars : 0)));
    const last = of.at(-1);
    const made = last.first + last.samples.length - of[0].first;
    const length = last === this.chunks.at(-1) && !whole
      ? Math.max(made, ((now.textChars - before) / 14) * RATE_HZ) : made;
    const part = Math.min(1, (at - of[0].first) / length);
    const chars = before + Math.round((now.textChars - before) * part);
    const space = this.text.slice(0, chars).search(/\s\S*$/);
    const ends = chars >= this.text.length || /\s/.test(this.text[chars] ?? "");
    return ends ? chars : Math.max(before, space < 0 ? 0 : space);
  }
}

/** 16-bit PCM, little-endian, as samples of -1..1. */
export function samplesOf(pcm) {
  const view = new DataView(pcm);
  const samples = new Float32Array(pcm.byteLength >> 1);
  for (let at = 0; at < samples.length; at++) samples[at] = view.getInt16(2 * at, true) / 32768;
  return samples;
}

/** Samples as 16-bit PCM, little-endian. */
export function pcmOf(samples) {
  const view = new DataView(new ArrayBuffer(2 * samples.length));
  samples.forEach((sample, at) => {
    view.setInt16(2 * at, Math.max(-1, Math.min(1, sample)) * 32767, true);
  });
  return view.buffer;
}

/** A WAV file: one channel, 16 bits. */
export function wavOf(samples, rateHz = RATE_HZ) {
  const head = new DataView(new ArrayBuffer(44));
  const words = (at, text) => [...text].forEach((c, n) => head.setUint8(at + n, c.charCodeAt(0)));
  words(0, "RIFF");
  head.setUint32(4, 36 + 2 * samples.length, true);
  words(8, "WAVEfmt ");
  head.setUint32(16, 16, true);
  head.setUint16(20, 1, true);
  head.setUint16(22, 1, true);
  head.setUint32(24, rateHz, true);
  head.setUint32(28, 2 * rateHz, true);
  head.setUint16(32, 2, true);
  head.setUint16(34, 16, true);
  words(36, "data");
  head.setUint32(40, 2 * samples.length, true);
  return new Blob([head.buffer, pcmOf(samples)], { type: "audio/wav" });
}
