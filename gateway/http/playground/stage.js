// The stage: a turn's waveform and code map over one axis of time, drawn as they grow.
// What has been heard is bright; what is made and waits is dim.

import { PEAK_SAMPLES, RATE_HZ } from "./turn.js";
import { ramp } from "./colours.js";

const LEAST_FRAMES = 50; // that the width is for: four seconds
const FRAME_SAMPLES = RATE_HZ / 12.5;

/** Draws on two canvases, one above the other. */
export class Stage {
  constructor(waveform, codes) {
    this.waveform = waveform;
    this.codes = codes;
    this.codec = { num_codebooks: 8, codebook_size: 1024, frame_ms: 80 };
    this.turn = null;
    this.drawn = "";
    this.map = document.createElement("canvas"); // one pixel a code
    this.mapFrames = 0;
    this.span = LEAST_FRAMES;
    new ResizeObserver(() => this.resize()).observe(waveform);
  }

  /** Shows a turn from now on. */
  show(turn) {
    if (this.turn === turn) return;
    this.turn = turn;
    this.mapFrames = 0;
    this.span = LEAST_FRAMES;
    this.drawn = "";
  }

  /** Colours have changed. */
  recolour() {
    this.mapFrames = 0;
    this.drawn = "";
  }

  resize() {
    const scale = window.devicePixelRatio || 1;
    for (const canvas of [this.waveform, this.codes]) {
      canvas.width = Math.max(1, Math.round(canvas.clientWidth * scale));
      canvas.height = Math.max(1, Math.round(canvas.clientHeight * scale));
    }
    this.drawn = "";
  }

  /** The frame and the codebook at a place of the code map. */
  at(x, y) {
    const sample = (x / this.codes.clientWidth) * this.span * FRAME_SAMPLES;
    const run = this.turn?.runs.find((one) => sample >= one.first && sample < one.first + one.samples);
    const frame = run ? run.frame + Math.floor(((sample - run.first) / run.samples) * run.count) : -1;
    const codebook = Math.floor((y / this.codes.clientHeight) * this.codec.num_codebooks);
    const code = this.turn?.codes[frame]?.[codebook];
    return code === undefined ? null : { frame, codebook, code };
  }

  /** Draws what there is; `ms` of it have been heard, null: nothing is playing. */
  draw(ms) {
    const { turn } = this;
    const frames = turn ? turn.numSamples / FRAME_SAMPLES : 0;
    const wanted = Math.max(LEAST_FRAMES, Math.ceil(frames * 1.04));
    this.span += (wanted - this.span) * (wanted - this.span < 0.5 ? 1 : 0.25);
    const state = `${turn?.numSamples} ${frames} ${this.span.toFixed(2)} ${ms} ${turn?.keptMs}`;
    if (state === this.drawn) return;
    this.drawn = state;
    const heard = ms ?? turn?.keptMs ?? (turn?.over || turn?.side === "heard" ? Infinity : 0);
    this.drawWaveform(turn, heard);
    this.drawCodes(turn, heard);
    if (turn && ms !== null) this.drawHead(ms);
  }

  x(canvas, ms) {
    return (ms / this.codec.frame_ms / this.span) * canvas.width;
  }

  drawWaveform(turn, heard) {
    const { waveform: canvas } = this;
    const paint = canvas.getContext("2d");
    const { width, height } = canvas;
    paint.clearRect(0, 0, width, height);
    const middle = height / 2;
    const scale = window.devicePixelRatio || 1;
    paint.fillStyle = getComputedStyle(canvas).getPropertyValue("--line");
    paint.fillRect(0, middle - scale / 2, width, scale);
    this.drawSeconds(canvas);
    if (!turn) return;
    const bar = 3 * scale; // with the gap behind it
    const perPeak = this.x(canvas, (PEAK_SAMPLES / RATE_HZ) * 1000);
    const group = Math.max(1, Math.round(bar / perPeak));
    const loudest = Math.max(0.25, ...turn.peaks);
    const fill = paint.createLinearGradient(0, 0, 0, height);
    [[0, 0.86], [0.28, 0.66], [0.5, 0.42], [0.72, 0.66], [1, 0.86]].forEach(([at, part]) => fill.addColorStop(at, ramp(part)));
    paint.fillStyle = fill;
    for (let at = 0; at < turn.peaks.length; at += group) {
      const level = Math.max(0, ...turn.peaks.slice(at, at + group)) / loudest;
      const tall = Math.max(scale, Math.sqrt(level) * level ** 0.15 * height * 0.88);
      const begins = (at * PEAK_SAMPLES * 1000) / RATE_HZ;
      paint.globalAlpha = begins < heard ? 1 : 0.3;
      paint.beginPath();
      paint.roundRect(at * perPeak, middle - tall / 2, Math.max(scale, group * perPeak - scale), tall, scale);
      paint.fill();
    }
    paint.globalAlpha = 1;
  }

  /** A faint line at each second. */
  drawSeconds(canvas) {
    const paint = canvas.getContext("2d");
    paint.fillStyle = getComputedStyle(canvas).getPropertyValue("--line");
    const scale = window.devicePixelRatio || 1;
    const every = this.span > 400 ? 10 : 1;
    for (let s = every; this.x(canvas, 1000 * s) < canvas.width; s += every) {
      for (let y = 0; y < canvas.height; y += 6 * scale) paint.fillRect(this.x(canvas, 1000 * s), y, scale, 2 * scale);
    }
  }

  drawCodes(turn, heard) {
    const { codes: canvas, map } = this;
    const paint = canvas.getContext("2d");
    const { width, height } = canvas;
    paint.clearRect(0, 0, width, height);
    this.drawSeconds(canvas);
    if (!turn?.codes.length) return;
    this.growMap(turn);
    const edge = Math.min(width, this.x(canvas, heard));
    paint.imageSmoothingEnabled = false;
    const part = (from, to, alpha) => {
      if (to <= from) return;
      paint.save();
      paint.beginPath();
      paint.rect(from, 0, to - from, height);
      paint.clip();
      paint.globalAlpha = alpha;
      for (const { frame, count, first, samples } of turn.runs) {
        const scale = width / this.span / FRAME_SAMPLES;
        paint.drawImage(map, frame, 0, count, map.height, first * scale, 0, samples * scale, height);
      }
      paint.restore();
    };
    part(0, edge, 1);
    part(edge, width, 0.32);
    this.drawGaps(turn, paint, width, height);
  }

  /** Parts the codes of a frame from those of the next, and of other codebooks. */
  drawGaps(turn, paint, width, height) {
    const scale = window.devicePixelRatio || 1;
    const rows = this.codec.num_codebooks;
    const perSample = width / this.span / FRAME_SAMPLES;
    for (const { count, first, samples } of turn.runs) {
      const begins = first * perSample;
      const long = samples * perSample;
      if (height / rows > 6 * scale) {
        for (let row = 1; row < rows; row++) paint.clearRect(begins, Math.round((row * height) / rows), long, scale);
      }
      if (long / count > 6 * scale) {
        for (let at = 0; at <= count; at++) paint.clearRect(Math.round(begins + (at * long) / count), 0, scale, height);
      }
    }
  }

  /** Puts the codes that are new into the map. */
  growMap(turn) {
    const { map } = this;
    const rows = this.codec.num_codebooks;
    if (!this.mapFrames || map.height !== rows || map.width < turn.codes.length) {
      map.width = Math.max(256, 2 * turn.codes.length);
      map.height = rows;
      this.mapFrames = 0;
    }
    const paint = map.getContext("2d");
    for (let frame = this.mapFrames; frame < turn.codes.length; frame++) {
      turn.codes[frame].forEach((code, row) => {
        paint.fillStyle = ramp(code / (this.codec.codebook_size - 1));
        paint.fillRect(frame, row, 1, 1);
      });
    }
    this.mapFrames = turn.codes.length;
  }

  drawHead(ms) {
    const scale = window.devicePixelRatio || 1;
    for (const canvas of [this.waveform, this.codes]) {
      const paint = canvas.getContext("2d");
      paint.fillStyle = getComputedStyle(canvas).color;
      paint.fillRect(Math.min(canvas.width - scale, this.x(canvas, ms)), 0, 1.5 * scale, canvas.height);
    }
  }
}
