// A conversation from Node: an answer is spoken as its text comes, the listener interrupts, and
// the conversation goes on from what was heard.
//
//   npm install --prefix examples/node
//   node examples/node/converse.mjs answer.pcm
//   ffplay -f s16le -ar 24000 -ac 1 answer.pcm

import { createWriteStream } from "node:fs";
import { CsmClient } from "./csm/index.mjs";
import { report, run } from "./report.mjs";

const [path, target] = process.argv.slice(2);
if (!path) {
  console.error("usage: node converse.mjs FILE.pcm [HOST:PORT]");
  process.exit(2);
}

const HEARD_MS = 500;
const ANSWER = ["Of course. The station is not ", "far from here. Walk down to the river ", "and turn left."];

await run(async () => {
  const client = new CsmClient(target);
  const file = createWriteStream(path);
  try {
    // At most a quarter of a second ahead: what is cut off was hardly made.
    const conversation = await client.converse({ maxLeadMs: 250 }, { timeoutMs: 60_000 });
    console.error(`conversation ${conversation.id}`);
    for (const part of ANSWER) await conversation.say(part);
    await conversation.endTurn();

    let rate = 24_000;
    let heardMs = 0;
    let turns = 0;
    for await (const event of conversation) {
      if (event.type === "turnStarted") {
        rate = event.format?.sampleRateHz ?? rate;
      } else if (event.type === "audio") {
        file.write(event.audio);
        const before = heardMs;
        heardMs += (event.audio.length / 2 / rate) * 1000;
        // Somebody speaks up: the rest of the first answer leaves the conversation.
        if (turns === 0 && before < HEARD_MS && heardMs >= HEARD_MS)
          await conversation.cancel({ turnId: event.turnId, heardMs: HEARD_MS });
      } else if (event.type === "turnCompleted") {
        if (!report(event)) process.exitCode = 1;
        if (++turns === 1) {
          await conversation.say("As you like.");
          await conversation.endTurn();
          conversation.finish();
        }
      } else {
        console.error(`turn ${event.turnId}: ${event.keptAudioMs} ms stay`);
      }
    }
  } finally {
    file.end();
    client.close();
  }
});
