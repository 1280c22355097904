// A conversation with the server: WS v1/conversations, opened anew when it has gone.

import { address } from "./api.js";

const AGAIN_MS = [300, 1000, 3000, 8000];

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
    const socket = new WebSocket(url);
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
    this.open = false;
    this.socket = null;
    this.on.state("gone", error);
    const idle = error?.code === "deadline_exceeded" && !this.waiting.length;
    if (idle) return; // nothing was said for long: it is opened when something is
    if (error && error.type === "invalid_request_error") this.waiting = [];
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
    old?.close();
    this.connect();
  }
}
