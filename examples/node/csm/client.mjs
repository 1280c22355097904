// A client of the gateway.

import { promisify } from "node:util";
import grpc from "@grpc/grpc-js";
import { Conversation } from "./conversation.mjs";
import { CsmError } from "./errors.mjs";
import { SpeechService } from "./wire.mjs";

/** @typedef {import("../generated/csm/v1/SynthesizeRequest.js").SynthesizeRequest} SynthesizeRequest */
/** @typedef {import("../generated/csm/v1/ListVoicesResponse.js").ListVoicesResponse__Output} VoiceList */
/** @typedef {import("../generated/csm/v1/GetServerInfoResponse.js").GetServerInfoResponse__Output} ServerInfo */
/** @typedef {import("../generated/csm/v1/GetConversationResponse.js").GetConversationResponse__Output} ConversationInfo */
/** @typedef {import("./conversation.mjs").ConverseConfig} ConverseConfig */
/** @typedef {import("./conversation.mjs").TurnStarted} TurnStarted */
/** @typedef {import("./conversation.mjs").TurnCompleted} TurnCompleted */
/** @typedef {import("./conversation.mjs").SpeechAudio} SpeechAudio */
/** @typedef {{ timeoutMs?: number }} CallOptions */

const UNARY_TIMEOUT_MS = 30_000;

// Only what a server refused before it answered anything is tried again.
const SERVICE_CONFIG = {
  methodConfig: [
    {
      name: [{ service: "csm.v1.SpeechService" }],
      retryPolicy: {
        maxAttempts: 4,
        initialBackoff: "0.1s",
        maxBackoff: "2s",
        backoffMultiplier: 2,
        retryableStatusCodes: ["UNAVAILABLE"],
      },
    },
  ],
};

/** Speaks with the gateway at `target` ("host:port"). Close it when it is no longer needed. */
export class CsmClient {
  #stub;
  #metadata;

  /**
   * @param {string} [target]
   * @param {object} [options]
   * @param {Buffer} [options.rootCertificates] - PEM; turns TLS on. An empty one: those of Node.
   * @param {Record<string, string>} [options.metadata] - sent with every call, e.g.
   *   `{ authorization: "Bearer ..." }`
   */
  constructor(target = "127.0.0.1:50050", { rootCertificates, metadata = {} } = {}) {
    const credentials = rootCertificates
      ? grpc.credentials.createSsl(rootCertificates.length ? rootCertificates : null)
      : grpc.credentials.createInsecure();
    this.#stub = new SpeechService(target, credentials, {
      "grpc.enable_http_proxy": 0,
      "grpc.service_config": JSON.stringify(SERVICE_CONFIG),
    });
    this.#metadata = new grpc.Metadata();
    for (const [key, value] of Object.entries(metadata)) this.#metadata.set(key, value);
  }

  /**
   * Speaks one text. Iterate the result for its audio; leaving the loop ends the turn at the
   * server. Throws a `CsmError` where the call or the turn failed.
   * @param {SynthesizeRequest} request - a text, and the voice, the format and what else it takes
   * @param {CallOptions} [options]
   */
  synthesize(request, options = {}) {
    const call = this.#stub.Synthesize(request, this.#metadata, deadline(options));
    return new Speech(call);
  }

  /**
   * Opens a conversation, or goes on with the one that the config names.
   * @param {ConverseConfig} [config]
   * @param {CallOptions} [options] - the time is for the whole call
   */
  converse(config = {}, options = {}) {
    return Conversation.open(this.#stub.Converse(this.#metadata, deadline(options)), config);
  }

  /** The voices, and which is the default. @returns {Promise<VoiceList>} */
  listVoices() {
    return this.#unary("ListVoices", {});
  }

  /** What the server runs. @returns {Promise<ServerInfo>} */
  serverInfo() {
    return this.#unary("GetServerInfo", {});
  }

  /**
   * The turns of a conversation, oldest first.
   * @param {string} conversationId
   * @returns {Promise<ConversationInfo>}
   */
  getConversation(conversationId) {
    return this.#unary("GetConversation", { conversationId });
  }

  /** Closes the connection; calls under way end. */
  close() {
    this.#stub.close();
  }

  /**
   * @param {"ListVoices" | "GetServerInfo" | "GetConversation"} method
   * @param {object} request
   * @returns {Promise<any>}
   */
  async #unary(method, request) {
    const call = promisify(
      /** @type {(...given: any[]) => any} */ (this.#stub[method]).bind(this.#stub),
    );
    try {
      return await call(request, this.#metadata, deadline({ timeoutMs: UNARY_TIMEOUT_MS }));
    } catch (error) {
      throw CsmError.of(error);
    }
  }
}

/** The audio of one text, as it is made. */
export class Speech {
  #call;
  /** How it began; undefined until the first audio. @type {TurnStarted | undefined} */
  started;
  /** How it ended; undefined until the loop is over. @type {TurnCompleted | undefined} */
  completed;

  /** @param {ReturnType<InstanceType<typeof SpeechService>["Synthesize"]>} call */
  constructor(call) {
    this.#call = call;
  }

  /** Ends the turn at once. */
  cancel() {
    this.#call.cancel();
  }

  /** @returns {AsyncGenerator<SpeechAudio, void>} */
  async *[Symbol.asyncIterator]() {
    try {
      for await (const message of this.#call) {
        if (message.started) this.started = message.started;
        else if (message.audio) yield message.audio;
        else if (message.completed) this.completed = message.completed;
      }
    } catch (error) {
      throw CsmError.of(error);
    } finally {
      this.#call.cancel();
    }
    if (this.completed?.error)
      throw CsmError.ofTerminal(/** @type {any} */ (this.completed.error));
  }
}

/** @param {CallOptions} options */
const deadline = ({ timeoutMs }) => (timeoutMs ? { deadline: Date.now() + timeoutMs } : {});
