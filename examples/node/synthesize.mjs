// Say one text from Node.
//
//   npm install --prefix examples/node
//   node examples/node/synthesize.mjs "Hello there." hello.pcm
//   ffplay -f s16le -ar 24000 -ac 1 hello.pcm

import { createWriteStream } from "node:fs";
import { client, report, statusName } from "./speech.mjs";

const [text, path, target = "127.0.0.1:50050"] = process.argv.slice(2);
if (!text || !path) {
  console.error("usage: node synthesize.mjs TEXT FILE.pcm [HOST:PORT]");
  process.exit(2);
}

const file = createWriteStream(path);
const began = performance.now();
let first = true;
const call = client(target).Synthesize({ text }, { deadline: Date.now() + 60_000 });
call.on("data", (message) => {
  if (message.response === "started") {
    const { encoding, sampleRateHz } = message.started.format;
    console.error(`${encoding}, ${sampleRateHz} Hz`);
  } else if (message.response === "audio") {
    if (first) console.error(`first audio after ${Math.round(performance.now() - began)} ms`);
    first = false;
    file.write(message.audio.audio);
  } else if (message.response === "completed" && !report(message.completed)) {
    process.exitCode = 1;
  }
});
call.on("error", (error) => {
  console.error(statusName(error));
  process.exitCode = 1;
});
call.on("end", () => file.end());
