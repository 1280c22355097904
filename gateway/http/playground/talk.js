// The talk: what is asked of the server and what it answers, as turns.

import { call } from "./api.js";
import { Player } from "./player.js";
import { Conversation } from "./socket.js";
import { Turn, pcmOf, samplesOf } from "./turn.js";

const POSITION_MS = 500; // between two words to the server on how far the listener is
const KEPT_TURNS = 100; // with their sound

export class Talk {
  /** `on.turn(turn)`: a new one; `on.gone(turn)`, `on.changed(turn)`, `on.state(state, error)`. */
  constructor(on) {
    this.on = on;
    this.player = new Player();
    this.turns = [];
    this.asked = []; // spoken turns that have no id yet, in order
    this.hearing = []; // heard turns that are not taken in yet
    this.cancelled = new Set();
    this.told = 0;
    this.conversation = new Conversation({
      state: (...told) => this.state(...told),
      started: (told) => this.started(told),
      turn_started: ({ turn_id: id }) => this.begin(id),
      audio: (about, pcm) => this.sound(about, pcm),
      turn_completed: (told) => this.complete(told),
      turn_truncated: (told) => this.truncate(told),
    });
  }

  started({ codec, voice }) {
    this.codec = codec;
    this.voice = voice;
    this.on.state("ready");
  }

  /** `lost`: what was under way has ended with the connection. */
  state(state, error, lost) {
    if (lost) {
      const why = error ?? { message: "the connection was lost" };
      for (const turn of this.turns.filter((one) => !one.over)) {
        turn.completed = { finish_reason: "error", error: why, warnings: [], usage: {}, timing: null };
        turn.broke();
        this.on.changed(turn);
      }
      this.asked = [];
      this.hearing = [];
    }
    if (state !== "ready") this.on.state(state, error);
  }

  /** Whether anything is spoken, or about to be. */
  get speaking() {
    const made = this.turns.some((turn) => turn.side === "spoken" && !turn.over);
    return made || this.player.playing;
  }

  speak(text, voice, asked) {
    this.player.wake();
    if (this.player.replaying) this.player.stop();
    const turn = new Turn("spoken", text, voice, asked);
    this.asked.push(turn);
    this.conversation.send({ type: "text", text });
    this.conversation.send({ type: "end_of_turn" });
    this.add(turn);
    return turn;
  }

  /** Barge-in: silence, and the conversation keeps what was heard. */
  interrupt() {
    const replaying = this.player.replaying;
    const now = this.player.stop();
    if (replaying) return;
    for (const turn of this.turns) {
      // Of a turn that goes on, what came has been heard also where nothing more is there to play.
      const here = now?.turn === turn;
      const heard = turn.over && (!here || now.ended);
      if (turn.side !== "spoken" || !turn.id || heard || turn.keptMs !== null) continue;
      turn.cut(here ? now.ms : 0);
      this.cancelled.add(turn.id);
      this.conversation.send({ type: "cancel", turn_id: turn.id, heard_ms: Math.round(turn.keptMs) });
      this.on.changed(turn);
    }
    if (!this.asked.length) return;
    this.conversation.send({ type: "cancel", heard_ms: 0 });
    for (const turn of this.asked) {
      turn.cut(0);
      this.on.changed(turn);
    }
  }

  // --- what the microphone hears ---

  hear(blocks) {
    const turn = new Turn("heard", "", "you");
    this.hearing.push(turn);
    blocks.forEach((block) => this.hearMore(block));
    this.add(turn);
  }

  hearMore(block) {
    this.hearing.at(-1)?.add(block);
    this.conversation.send(pcmOf(block));
  }

  heard() {
    this.conversation.send({ type: "end_of_turn" });
    const turn = this.hearing.at(-1);
    if (turn) this.on.changed(turn);
  }

  // --- what the server tells ---

  begin(id) {
    const turn = this.asked.shift();
    if (turn) turn.id = id;
  }

  find(id) {
    return this.turns.findLast((turn) => turn.id === id);
  }

  sound(about, pcm) {
    const turn = this.find(about.turn_id);
    if (!turn) return;
    const chunk = turn.add(samplesOf(pcm), about.text_chars, about.codes);
    if (turn.keptMs === null) this.player.play(turn, chunk);
    this.on.changed(turn);
  }

  complete(told) {
    const list = told.heard ? this.hearing : null;
    // One that was cancelled before it began is told of without a start.
    const turn = list ? list.shift() : this.find(told.turn_id) ?? this.asked.shift();
    if (!turn) return;
    turn.id = told.turn_id;
    turn.completed = told;
    if (told.finish_reason === "cancelled" && turn.keptMs === null) turn.cut(told.kept_audio_ms);
    if (told.error) turn.broke();
    this.on.changed(turn);
  }

  /** How much of a turn that was over stays: the server knows it by the words. */
  truncate({ turn_id: id, kept_text: kept }) {
    const turn = this.find(id);
    if (!turn) return;
    if (turn.text.startsWith(kept.trim())) turn.keptChars = kept.trim().length;
    this.on.changed(turn);
  }

  // --- the rest ---

  add(turn) {
    this.turns.push(turn);
    if (this.turns.length > KEPT_TURNS) this.on.gone(this.turns.shift());
    this.on.turn(turn);
  }

  /** Tells the server how far the listener is, now and then. */
  tellPosition() {
    const now = this.player.now();
    if (!now || now.ended || this.player.replaying || performance.now() - this.told < POSITION_MS) return;
    this.told = performance.now();
    this.conversation.send({ type: "playback", turn_id: now.turn.id, heard_ms: now.ms });
  }

  /** Another voice goes on with the conversation, or a new one begins. */
  again(options) {
    this.interrupt();
    // Nothing more is told of what was under way.
    for (const turn of this.turns.filter((one) => !one.over)) {
      turn.completed = { finish_reason: "cancelled", warnings: [], usage: {}, timing: null };
      this.on.changed(turn);
    }
    if (options.anew) {
      this.turns = [];
      this.player.stop();
    }
    this.asked = [];
    this.hearing = [];
    this.conversation.again(options);
  }
}

/** The name of the model that speaks. */
export async function modelName() {
  return (await call("v1/models")).data[0].id;
}
