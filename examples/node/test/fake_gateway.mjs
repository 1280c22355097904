// A SpeechService that does what a test tells it, over gRPC in this process.

import grpc from "@grpc/grpc-js";
import { encode, SpeechService } from "../csm/wire.mjs";

const FORMAT = { encoding: "AUDIO_ENCODING_PCM_S16LE", sampleRateHz: 24_000, channels: 1 };
/** One frame of samples at half of full scale. */
const CHUNK = Buffer.alloc(3840, Buffer.from([0, 0x40]));

/**
 * @param {number} code
 * @param {string} message
 * @param {[string, Record<string, unknown>][]} details
 */
const statusBytes = (code, message, details) =>
  encode("google.rpc.Status", {
    code,
    message,
    details: details.map(([name, values]) => ({
      type_url: `type.googleapis.com/${name}`,
      value: encode(name, values),
    })),
  });

/**
 * A refusal with details, as the gateway makes them.
 * @param {number} code
 * @param {string} details
 * @param {[string, Record<string, unknown>][]} more
 */
export function refusal(code, details, more = []) {
  const metadata = new grpc.Metadata();
  metadata.set("grpc-status-details-bin", statusBytes(code, details, more));
  return Object.assign(new Error(details), { code, details, metadata });
}

export class FakeGateway {
  chunks = 3;
  pauseMs = 0;
  /** The next calls fail with these, one each. @type {Error[]} */
  refusals = [];
  /** In the next terminal. @type {object | undefined} */
  error;
  calls = 0;
  endedCalls = 0;
  /** @type {any[]} */
  received = [];
  /** @type {import("@grpc/grpc-js").Metadata[]} */
  metadata = [];
  #server = new grpc.Server();

  async start() {
    const turn = this.#turn.bind(this);
    this.#server.addService(SpeechService.service, {
      Synthesize: (/** @type {any} */ call) => {
        this.#begin(call);
        const refused = this.refusals.shift();
        if (refused) return call.emit("error", refused);
        this.received.push(call.request);
        turn("t1", (kind, value) => call.write({ [kind]: value }), call).then(() => call.end());
      },
      Converse: (/** @type {any} */ call) => {
        this.#begin(call);
        let turns = 0;
        /** @type {{ cancelled: boolean } | undefined} */
        let speaking;
        let last = Promise.resolve();
        call.on("data", (/** @type {any} */ message) => {
          this.received.push(message);
          const refused = message.text && this.refusals.shift();
          if (refused) return call.emit("error", refused);
          if (message.config)
            call.write({
              started: { conversationId: message.config.conversationId || "fresh", outputFormat: FORMAT },
            });
          if (message.endOfTurn) {
            const state = (speaking = { cancelled: false });
            const send = (/** @type {string} */ kind, /** @type {object} */ value) =>
              call.write({ [kind === "started" || kind === "completed" ? TURN[kind] : kind]: value });
            last = last.then(() => turn(`t${++turns}`, send, state));
          }
          if (message.cancel && speaking) speaking.cancelled = true;
        });
        call.on("end", () => last.then(() => call.end()));
      },
      ListVoices: (/** @type {any} */ call, /** @type {any} */ answer) => {
        this.#begin(call);
        const refused = this.refusals.shift();
        answer(refused ?? null, { voices: [{ name: "heart" }], defaultVoice: "heart" });
      },
    });
    return new Promise((resolve, reject) => {
      this.#server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) =>
        error ? reject(error) : resolve(`127.0.0.1:${port}`),
      );
    });
  }

  stop() {
    this.#server.forceShutdown();
  }

  /** @param {any} call */
  #begin(call) {
    this.calls++;
    this.metadata.push(call.metadata);
    call.on("cancelled", () => this.endedCalls++);
  }

  /**
   * @param {string} turnId
   * @param {(kind: string, value: object) => void} send
   * @param {{ cancelled: boolean }} state
   */
  async #turn(turnId, send, state) {
    send("started", { turnId, format: FORMAT });
    for (let index = 0; index < this.chunks && !state.cancelled; index++) {
      send("audio", { turnId, audio: CHUNK, firstSample: index * 1920 });
      await new Promise((resolve) => setTimeout(resolve, this.pauseMs));
    }
    const reason = state.cancelled ? "CANCELLED" : this.error ? "ERROR" : "EOS";
    send("completed", {
      turnId,
      finishReason: `FINISH_REASON_${reason}`,
      keptAudioMs: 80,
      error: this.error,
    });
    this.error = undefined;
  }
}

/** @type {Record<string, string>} */
const TURN = { started: "turnStarted", completed: "turnCompleted" };
