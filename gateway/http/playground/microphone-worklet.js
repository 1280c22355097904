// Runs beside the sound: the microphone at 24 kHz, in blocks of 20 ms with their level.
// What is above 12 kHz has been taken away before it comes here.

const RATE_HZ = 24000;
const BLOCK = RATE_HZ / 50;

class Microphone extends AudioWorkletProcessor {
  constructor() {
    super();
    this.step = sampleRate / RATE_HZ;
    this.at = 0; // of the next sample, behind the last one of the block before
    this.last = 0;
    this.block = new Float32Array(BLOCK);
    this.filled = 0;
  }

  process([input]) {
    const samples = input[0];
    if (!samples) return true;
    // Between two samples: a straight line.
    while (this.at < samples.length) {
      const right = Math.floor(this.at);
      const left = right ? samples[right - 1] : this.last;
      const part = this.at - right;
      this.push(left + (samples[right] - left) * part);
      this.at += this.step;
    }
    this.at -= samples.length;
    this.last = samples[samples.length - 1];
    return true;
  }

  push(sample) {
    this.block[this.filled++] = sample;
    if (this.filled < BLOCK) return;
    let energy = 0;
    for (const one of this.block) energy += one * one;
    this.port.postMessage({ samples: this.block, level: Math.sqrt(energy / BLOCK) });
    this.block = new Float32Array(BLOCK);
    this.filled = 0;
  }
}

registerProcessor("microphone", Microphone);
