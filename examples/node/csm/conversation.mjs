// One Converse call: say, hear, interrupt; events come back.

import { once } from "node:events";
import { CsmError } from "./errors.mjs";

/** @typedef {import("../generated/csm/v1/ConverseConfig.js").ConverseConfig} ConverseConfig */
/** @typedef {import("../generated/csm/v1/ConverseRequest.js").ConverseRequest} ConverseRequest */
/** @typedef {import("../generated/csm/v1/ConverseResponse.js").ConverseResponse__Output} Response */
/** @typedef {import("../generated/csm/v1/ConverseStarted.js").ConverseStarted__Output} Started */
/** @typedef {import("../generated/csm/v1/SpeechTurnStarted.js").SpeechTurnStarted__Output} TurnStarted */
/** @typedef {import("../generated/csm/v1/SpeechAudio.js").SpeechAudio__Output} SpeechAudio */
/** @typedef {import("../generated/csm/v1/SpeechTurnCompleted.js").SpeechTurnCompleted__Output} TurnCompleted */
/** @typedef {import("../generated/csm/v1/SpeechTurnTruncated.js").SpeechTurnTruncated__Output} TurnTruncated */
/** @typedef {import("@grpc/grpc-js").ClientDuplexStream<ConverseRequest, Response>} Call */

/**
 * What comes back of a conversation.
 * @typedef {{ type: "turnStarted" } & TurnStarted
 *   | { type: "audio" } & SpeechAudio
 *   | { type: "turnCompleted" } & TurnCompleted
 *   | { type: "turnTruncated" } & TurnTruncated} ConversationEvent
 */

/**
 * A conversation; made by `CsmClient.converse`. Iterate it for its events, once. What is not read
 * waits at the server.
 */
export class Conversation {
  /** @type {Call} */ #call;
  /** @type {AsyncIterator<Response>} */ #messages;
  #closed = false;

  /**
   * @param {Call} call
   * @param {AsyncIterator<Response>} messages
   * @param {Started} started
   */
  constructor(call, messages, started) {
    this.#call = call;
    this.#messages = messages;
    /** Its id, voice, number of turns, and the format of its audio. */
    this.started = started;
  }

  /**
   * @param {Call} call
   * @param {ConverseConfig} config
   */
  static async open(call, config) {
    // What goes wrong is told to who reads; without a listener it would end the process.
    call.on("error", () => {});
    const messages = call[Symbol.asyncIterator]();
    call.write({ config });
    const first = await read(messages);
    if (!first?.started) throw new CsmError(13, "the server did not begin with `started`");
    return new Conversation(call, messages, first.started);
  }

  /** Names the conversation for later calls. */
  get id() {
    return this.started.conversationId;
  }

  /**
   * A part of the text to speak; complete sentences are spoken before the turn ends.
   * @param {string} text
   */
  say(text) {
    return this.#send({ text: { text } });
  }

  /** Has spoken what was said so far, without waiting for more of its sentence. */
  flush() {
    return this.#send({ flush: {} });
  }

  /**
   * Heard audio in the config's input format, as it arrives.
   * @param {Uint8Array} audio
   */
  sendAudio(audio) {
    return this.#send({ heardAudio: { audio } });
  }

  /**
   * The turn is complete: what was heard, what is to be said, or both (heard first).
   * @param {string} [heardText]
   */
  endTurn(heardText = "") {
    return this.#send({ endOfTurn: { heardText } });
  }

  /**
   * Barge-in: ends the spoken turn, of which `heardMs` stay in the conversation. Without
   * `heardMs` all that was sent was heard. Also of a turn that is over, named by its id.
   * @param {{ turnId?: string, heardMs?: number }} [what]
   */
  cancel({ turnId = "", heardMs } = {}) {
    return this.#send({ cancel: { turnId, ...(heardMs !== undefined && { heardMs }) } });
  }

  /** Nothing more will be sent; the events end when the turns under way are over. */
  finish() {
    this.#call.end();
  }

  /** Ends the call and what is spoken in it. The conversation stays at the server. */
  close() {
    this.#closed = true;
    this.#call.cancel();
  }

  async *[Symbol.asyncIterator]() {
    try {
      for (let one = await this.#next(); one !== undefined; one = await this.#next()) {
        const event = eventOf(one);
        if (event) yield event;
      }
    } finally {
      this.close();
    }
  }

  async #next() {
    try {
      return await read(this.#messages);
    } catch (error) {
      if (this.#closed) return undefined;
      throw error;
    }
  }

  /** @param {ConverseRequest} message */
  async #send(message) {
    if (this.#call.writableEnded || this.#call.destroyed)
      throw new CsmError(9, "the conversation has ended");
    // The server takes no more for now: so does the caller wait.
    if (!this.#call.write(message)) await once(this.#call, "drain");
  }
}

/** @param {AsyncIterator<Response>} messages */
async function read(messages) {
  try {
    const { done, value } = await messages.next();
    return done ? undefined : value;
  } catch (error) {
    throw CsmError.of(error);
  }
}

/**
 * @param {Response} message
 * @returns {ConversationEvent | undefined}
 */
function eventOf(message) {
  if (message.turnStarted) return { type: "turnStarted", ...message.turnStarted };
  if (message.audio) return { type: "audio", ...message.audio };
  if (message.turnCompleted) return { type: "turnCompleted", ...message.turnCompleted };
  if (message.turnTruncated) return { type: "turnTruncated", ...message.turnTruncated };
  return undefined;
}
