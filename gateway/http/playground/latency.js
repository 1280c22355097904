// Where the time to the first sound went, and how fast the sound was made.

import { by, make, msText } from "./elements.js";

const STAGES = [
  ["queue", "queue"],
  ["prefill", "prefill"],
  ["first", "first frame"],
  ["decode", "decode"],
  ["network", "network"],
  ["playout", "playout"],
];

function fact(id, value, unit) {
  by(id).replaceChildren(value, ...(unit ? [make("small", {}, unit)] : []));
}

/** What is known of a turn so far: the first sound before the turn is over, the stages after. */
export function showLatency(turn) {
  const sound = turn.sounded === null ? null : turn.sounded - turn.asked;
  if (turn.side === "spoken" && sound !== null) fact("first-sound", msText(sound), "ms");
  else fact("first-sound", "–");
  fact("audio-length", (turn.milliseconds / 1000).toFixed(1), "s");
  const timing = turn.completed?.timing;
  const made = turn.completed?.usage.audio_ms;
  const known = turn.side === "spoken" && timing && made && sound !== null;
  fact("factor", known ? (timing.total_ms / made).toFixed(2) : "–", known ? "×" : "");
  const parts = known ? partsOf(turn, timing) : [];
  const strip = by("strip");
  strip.replaceChildren(...parts.map(([stage, , ms]) => {
    const piece = make("i", { "data-stage": stage });
    piece.style.flexGrow = Math.max(0.01, ms);
    return piece;
  }));
  by("stages").replaceChildren(...parts.map(([stage, name, ms]) => make(
    "li", { "data-stage": stage }, `${name} `, make("b", {}, msText(ms)),
  )));
  const told = parts.map(([, name, ms]) => `${name} ${msText(ms)} ms`).join(", ");
  strip.ariaLabel = `Where the time to the first sound went: ${told || "not known yet"}`;
}

function partsOf(turn, timing) {
  const { queue_ms: queue, prefill_ms: prefill, decode_ms: decode, first_frame_ms: sent } = timing;
  const ms = {
    queue,
    prefill,
    // What the server needed to its first audio beside the rest: the frame itself, and the gateway.
    first: Math.max(0, sent - queue - prefill - decode),
    decode,
    network: Math.max(0, turn.arrived - turn.asked - sent),
    playout: Math.max(0, turn.sounded - turn.arrived),
  };
  return STAGES.map(([stage, name]) => [stage, name, ms[stage]]);
}
