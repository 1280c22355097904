// The microphone: its blocks of 20 ms, and where in them somebody speaks.

const BLOCK_MS = 20;
const BEGINS_BLOCKS = 4; // loud ones in a row: speech
const ENDS_BLOCKS = 35; // quiet ones in a row: it is over
const BEFORE_BLOCKS = 15; // kept from before it began
const OVER_NOISE = 3.2; // times as loud as the room
const LEAST_LEVEL = 0.012;
export const MAX_SPEECH_MS = 30000;

export class Microphone {
  /** Opens it. `onBlock(samples, level)` is told every 20 ms. Throws an Error that says why not. */
  static async open(onBlock) {
    if (!navigator.mediaDevices || !window.AudioWorkletNode) {
      throw new Error("Browsers give a microphone to pages on HTTPS or on this machine alone.");
    }
    const audio = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio });
    } catch (error) {
      throw new Error(`The microphone cannot be used: ${error.message}.`);
    }
    const context = new AudioContext();
    await context.audioWorklet.addModule(new URL("microphone-worklet.js", import.meta.url));
    const source = new MediaStreamAudioSourceNode(context, { mediaStream: stream });
    const below = () => new BiquadFilterNode(context, { type: "lowpass", frequency: 10500 });
    const node = new AudioWorkletNode(context, "microphone", {
      numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit",
    });
    source.connect(below()).connect(below()).connect(node);
    node.port.onmessage = ({ data }) => onBlock(data.samples, data.level);
    return new Microphone(stream, context);
  }

  constructor(stream, context) {
    Object.assign(this, { stream, context });
  }

  close() {
    this.stream.getTracks().forEach((track) => track.stop());
    this.context.close();
  }
}

/** Finds speech by its energy above that of the room. */
export class SpeechDetector {
  /** `on.began(blocks)`: with what came shortly before; `on.more(block)`; `on.ended()`. */
  constructor(on) {
    this.on = on;
    this.noise = 0.004;
    this.loud = this.quiet = 0;
    this.before = [];
    this.speaking = false;
    this.blocks = 0;
  }

  feed(samples, level) {
    const loud = level > Math.max(LEAST_LEVEL, this.noise * OVER_NOISE);
    if (!loud) this.noise += (level - this.noise) * (level < this.noise ? 0.2 : 0.02);
    this.loud = loud ? this.loud + 1 : 0;
    this.quiet = loud ? 0 : this.quiet + 1;
    if (!this.speaking) {
      this.before.push(samples);
      if (this.before.length > BEFORE_BLOCKS) this.before.shift();
      if (this.loud < BEGINS_BLOCKS) return;
      this.speaking = true;
      this.blocks = this.before.length;
      this.on.began(this.before.splice(0));
      return;
    }
    this.on.more(samples);
    this.blocks++;
    if (this.quiet >= ENDS_BLOCKS || this.blocks * BLOCK_MS >= MAX_SPEECH_MS) this.end();
  }

  end() {
    if (!this.speaking) return;
    this.speaking = false;
    this.loud = 0;
    this.on.ended();
  }
}
