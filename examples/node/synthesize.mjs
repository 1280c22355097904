// Say one text from Node.
//
//   npm install --prefix examples/node
//   node examples/node/synthesize.mjs "Hello there." hello.pcm
//   ffplay -f s16le -ar 24000 -ac 1 hello.pcm

import { createWriteStream } from "node:fs";
import { CsmClient } from "./csm/index.mjs";
import { report, run } from "./report.mjs";

const [text, path, target] = process.argv.slice(2);
if (!text || !path) {
  console.error("usage: node synthesize.mjs TEXT FILE.pcm [HOST:PORT]");
  process.exit(2);
}

await run(async () => {
  const client = new CsmClient(target);
  const file = createWriteStream(path);
  const began = performance.now();
  const speech = client.synthesize({ text }, { timeoutMs: 60_000 });
  let first = true;
  try {
    for await (const { audio } of speech) {
      if (first) {
        const format = speech.started?.format;
        console.error(`${format?.encoding}, ${format?.sampleRateHz} Hz`);
        console.error(`first audio after ${Math.round(performance.now() - began)} ms`);
        first = false;
      }
      file.write(audio);
    }
    if (speech.completed) report(speech.completed);
  } finally {
    file.end();
    client.close();
  }
});
