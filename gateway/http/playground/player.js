// Playing turns: chunks one behind the other without a seam, and how far the listener is.
//
// Scheduled sources rather than an AudioWorklet, which browsers have on HTTPS alone.

import { RATE_HZ } from "./turn.js";

const LEAST_AHEAD_S = 0.02; // that a first chunk is scheduled ahead of now, where all goes well
const MOST_AHEAD_S = 0.25; // where chunks come late
const FADE_S = 0.012;

export class Player {
  constructor() {
    this.context = null;
    this.queue = []; // {turn, first, begins, ends, source}: what was scheduled
    this.next = 0; // when the next chunk may begin
    this.ahead = LEAST_AHEAD_S;
    this.underruns = 0;
    this.silence = 0; // seconds that the listener waited within turns
    this.replaying = null;
  }

  /** Makes or wakes the output. Browsers allow it only when the user does something. */
  wake() {
    if (!this.context) {
      this.context = new AudioContext({ sampleRate: RATE_HZ, latencyHint: "interactive" });
      this.meter = new AnalyserNode(this.context, { fftSize: 2048 });
      this.meter.connect(this.context.destination);
    }
    if (this.context.state !== "running") this.context.resume();
  }

  /** Plays a chunk of a turn behind what is scheduled. */
  play(turn, chunk) {
    this.wake();
    const { context } = this;
    this.fade ??= this.opened();
    const buffer = new AudioBuffer({ length: chunk.samples.length, sampleRate: RATE_HZ });
    buffer.copyToChannel(chunk.samples, 0);
    const source = new AudioBufferSourceNode(context, { buffer });
    source.connect(this.fade);
    const follows = this.queue.at(-1)?.turn === turn;
    if (follows && this.next < context.currentTime) this.late(context.currentTime - this.next);
    else if (!follows) this.ahead = Math.max(LEAST_AHEAD_S, this.ahead * 0.8);
    // What is in time follows without a seam; the rest has a little of a lead again.
    const inTime = follows && this.next >= context.currentTime;
    const begins = inTime ? this.next : Math.max(this.next, context.currentTime + this.ahead);
    source.start(begins);
    this.next = begins + buffer.duration;
    if (turn.sounded === null) {
      turn.sounded = performance.now() + (begins - context.currentTime) * 1000;
    }
    this.queue.push({ turn, first: chunk.first, begins, ends: this.next, source });
  }

  /** A chunk came too late: from now on there is more of a lead. */
  late(seconds) {
    this.underruns++;
    this.ahead = Math.min(MOST_AHEAD_S, this.ahead + seconds + 0.04);
    this.silence += seconds + this.ahead;
  }

  /** Plays a turn that is there, from its beginning; anything else is stopped. */
  replay(turn) {
    this.stop();
    this.replaying = turn;
    const samples = turn.sound(turn.keptMs ?? undefined);
    if (samples.length) this.play(turn, { first: 0, samples });
  }

  /** The turn that is heard now and milliseconds of it that have been; null: silence. */
  now() {
    if (!this.context || !this.queue.length) return null;
    const time = this.context.currentTime - (this.context.outputLatency || 0);
    // What is over is forgotten, but for the last one, which tells that it ended.
    while (this.queue.length > 1 && this.queue[0].ends <= time) this.queue.shift();
    const { turn, first, begins, ends } = this.queue[0];
    const into = Math.max(0, Math.min(time, ends) - begins);
    return { turn, ms: Math.round((first / RATE_HZ + into) * 1000), ended: time >= ends };
  }

  get playing() {
    const now = this.now();
    return now !== null && !now.ended;
  }

  /** Silence, at once and without a click. Gives what `now` was. */
  stop() {
    const now = this.now();
    if (this.fade) {
      const { fade, context } = this;
      fade.gain.setTargetAtTime(0, context.currentTime, FADE_S / 3);
      const sources = this.queue.map((one) => one.source);
      setTimeout(() => {
        sources.forEach((source) => source.stop());
        fade.disconnect();
      }, FADE_S * 2000);
      this.fade = null;
    }
    this.queue = [];
    this.next = 0;
    this.replaying = null;
    return now;
  }

  opened() {
    const gain = new GainNode(this.context);
    gain.connect(this.meter);
    return gain;
  }
}
