// A conversation with the server: WS v1/conversations, opened anew when it has gone.

import { address } from "./api.js";
import { token } from "./token.js";

const AGAIN_MS = [300, 1000, 3000, 8000];
const SOON_OVER = ["failed_precondition", "aborted"]; // the call before is not quite over yet

export class Conversation {
  /** `on` has functions by the type of a message, and `audio`, `state`. */
  constructor(on) {
    this.on = on;
    this.id = "";
    this.voice = "";
    this.failures = 0;
    this.waiting = [];
    this.socket = null;
    this.open = false;
  }

  /** Opens it, to go on with what was said before. */
  connect() {
    clearTimeout(this.timer);
    const url = address("v1/conversations");
    url.protocol = url.protocol.replace("http", "ws");
    // A page cannot set a header of a WebSocket: the token goes as a subprotocol.
    const known = token();
    const socket = new WebSocket(url, known ? ["csm.v1", `csm.bearer.${known}`] : []);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    let about = null;
    let error = null;
    socket.onopen = () => {
      const config = { type: "config", codes: true };
      if (this.id) config.conversation_id = this.id;
      if (this.voice) config.voice = this.voice;
      socket.send(JSON.stringify(config));
    };
    socket.onmessage = ({ data }) => {
      if (typeof data !== "string") return this.on.audio(about, data);
      const told = JSON.parse(data);
      if (told.type === "audio") about = told;
      else if (told.type === "error") error = told.error;
      else {
        if (told.type === "started") this.started(told);
        this.on[told.type]?.(told);
      }
    };
    socket.onclose = () => {
      if (this.socket === socket) this.closed(error);
    };
  }

  started(told) {
    this.id = told.conversation_id;
    this.failures = 0;
    this.open = true;
    this.on.state("ready");
    this.waiting.splice(0).forEach((message) => this.socket.send(message));
  }

  closed(error) {
    const refused = error?.type === "invalid_request_error" && !SOON_OVER.includes(error.code);
    const lost = this.open || refused;
    if (error?.param === "voice") this.voice = "";
    this.open = false;
    this.socket = null;
    if (lost) this.waiting = [];
    const told = refused || this.failures ? error : null;
    const idle = error?.code === "deadline_exceeded";
    this.on.state(idle ? "idle" : "gone", told, lost);
    if (idle && !this.waiting.length) return; // it is opened when something is said
    const wait = AGAIN_MS[Math.min(this.failures++, AGAIN_MS.length - 1)];
    this.timer = setTimeout(() => this.connect(), wait);
  }

  /** Sends a message, or sound; what comes before it is open waits. */
  send(message) {
    const data = message instanceof ArrayBuffer ? message : JSON.stringify(message);
    if (this.open && this.socket.readyState === WebSocket.OPEN) return this.socket.send(data);
    this.waiting.push(data);
    if (!this.socket) this.connect();
  }

  /** Goes on with another voice, or anew. */
  again({ voice = this.voice, anew = false } = {}) {
    this.voice = voice;
    if (anew) this.id = "";
    const old = this.socket;
    this.socket = null;
    this.open = false;
    this.waiting = [];
    if (old) old.onmessage = null;
    old?.close();
    this.connect();
  }
}
