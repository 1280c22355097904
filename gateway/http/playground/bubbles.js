// The conversation as bubbles: what was said and heard, to play again and to keep.

import { by, download, make } from "./elements.js";
import { wavOf } from "./turn.js";

const OUTLINE_BARS = 36;

/** The outline of what was heard: nobody here knows its words. */
function outline(turn) {
  const loudest = Math.max(0.02, ...turn.peaks);
  const group = turn.peaks.length / OUTLINE_BARS;
  const bars = Array.from({ length: OUTLINE_BARS }, (_, at) => {
    const part = turn.peaks.slice(Math.floor(at * group), Math.floor((at + 1) * group) + 1);
    const bar = make("i");
    bar.style.height = `${Math.max(8, Math.round((100 * Math.max(0, ...part)) / loudest))}%`;
    return bar;
  });
  return make("span", { className: "outline", ariaHidden: "true" }, ...bars);
}

export class Bubbles {
  /** `on.replay(turn)` plays a turn, or stops it where it plays. */
  constructor(on) {
    this.on = on;
    this.list = by("bubbles");
    this.known = new Map();
  }

  add(turn) {
    const item = make("li", { className: "bubble", "data-side": turn.side });
    this.known.set(turn, item);
    this.list.append(item);
    this.update(turn);
    this.list.scrollTop = this.list.scrollHeight;
  }

  remove(turn) {
    this.known.get(turn)?.remove();
    this.known.delete(turn);
  }

  clear() {
    this.known.clear();
    this.list.replaceChildren();
  }

  /** Marks the turn that plays; null: none. */
  playing(turn) {
    for (const [known, item] of this.known) {
      const now = String(known === turn);
      if (item.dataset.playing === now) continue;
      item.dataset.playing = now;
      const button = item.querySelector("button");
      if (button) this.label(button, known, known === turn);
    }
  }

  update(turn) {
    const item = this.known.get(turn);
    if (!item) return;
    // Its buttons stay the same ones, or they would lose the focus while it is spoken.
    const shape = [turn.keptChars, turn.over, turn.numSamples > 0, turn.side === "heard" && turn.peaks.length].join();
    if (item.dataset.shape === shape) {
      item.querySelector(".foot span").textContent = this.about(turn);
      return;
    }
    item.dataset.shape = shape;
    const playing = item.dataset.playing === "true";
    const { list } = this;
    const atEnd = list.scrollTop + list.clientHeight >= list.scrollHeight - 4;
    item.replaceChildren(make("p", {}, ...this.words(turn)), this.foot(turn, playing));
    if (atEnd) list.scrollTop = list.scrollHeight; // it may be higher now, by why it failed
  }

  about(turn) {
    const parts = [turn.voice, `${((turn.keptMs ?? turn.milliseconds) / 1000).toFixed(1)} s`];
    const error = turn.completed?.error;
    if (error) parts.push(error.message);
    else if (turn.keptMs !== null) parts.push("interrupted");
    return parts.filter(Boolean).join(" · ");
  }

  words(turn) {
    if (turn.side === "heard") return [make("span", { className: "hidden" }, "What you said"), outline(turn)];
    const { text, keptChars } = turn;
    if (keptChars === null || keptChars >= text.length) return [text];
    const lost = make("del", {}, make("span", { className: "hidden" }, "not heard: "), text.slice(keptChars));
    return [text.slice(0, keptChars), lost];
  }

  foot(turn, playing) {
    const foot = make("div", { className: "foot" }, make("span", {}, this.about(turn)));
    if (turn.numSamples) {
      const again = make("button", { type: "button", className: "quiet" });
      this.label(again, turn, playing);
      again.onclick = () => this.on.replay(turn);
      const keep = make("button", { type: "button", className: "quiet", ariaLabel: `Download as WAV: ${this.name(turn)}` }, "↓");
      keep.onclick = () => download(wavOf(turn.sound(turn.keptMs ?? undefined)), `csm-${turn.id || turn.side}.wav`);
      foot.append(again, keep);
    }
    return foot;
  }

  label(button, turn, playing) {
    button.textContent = playing ? "■" : "▶";
    button.ariaLabel = `${playing ? "Stop" : "Play again"}: ${this.name(turn)}`;
  }

  name(turn) {
    return (turn.text || "what you said").slice(0, 60);
  }
}
