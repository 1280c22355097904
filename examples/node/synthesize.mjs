// Say one text from Node: the protos are all that is needed.
//
//   npm install @grpc/grpc-js @grpc/proto-loader
//   node examples/node/synthesize.mjs "Hello there." hello.pcm
//   ffplay -f s16le -ar 24000 -ac 1 hello.pcm

import { createWriteStream } from "node:fs";
import { fileURLToPath } from "node:url";
import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

const [text, path, target = "127.0.0.1:50050"] = process.argv.slice(2);
if (!text || !path) {
  console.error("usage: node synthesize.mjs TEXT FILE.pcm [HOST:PORT]");
  process.exit(2);
}

const protos = fileURLToPath(new URL("../../protos", import.meta.url));
const definition = protoLoader.loadSync("csm/v1/speech.proto", {
  includeDirs: [protos],
  defaults: true,
  enums: String,
});
const { SpeechService } = grpc.loadPackageDefinition(definition).csm.v1;
const client = new SpeechService(target, grpc.credentials.createInsecure());

const file = createWriteStream(path);
const began = performance.now();
let first = true;
const call = client.Synthesize({ text }, { deadline: Date.now() + 60_000 });
call.on("data", (message) => {
  if (message.started) {
    const { encoding, sampleRateHz } = message.started.format;
    console.error(`${encoding}, ${sampleRateHz} Hz`);
  } else if (message.audio) {
    if (first) console.error(`first audio after ${Math.round(performance.now() - began)} ms`);
    first = false;
    file.write(message.audio.audio);
  } else if (message.completed) {
    console.error(`${message.completed.finishReason}, ${message.completed.usage.audioMs} ms`);
  }
});
call.on("error", (error) => {
  console.error(`${grpc.status[error.code]}: ${error.details}`);
  process.exitCode = 1;
});
call.on("end", () => file.end());
