// A conversation from Node: an answer is spoken as its text comes, the listener interrupts, and
// the conversation goes on from what was heard.
//
//   npm install --prefix examples/node
//   node examples/node/converse.mjs answer.pcm
//   ffplay -f s16le -ar 24000 -ac 1 answer.pcm

import { createWriteStream } from "node:fs";
import { client, report, statusName } from "./speech.mjs";

const [path, target = "127.0.0.1:50050"] = process.argv.slice(2);
if (!path) {
  console.error("usage: node converse.mjs FILE.pcm [HOST:PORT]");
  process.exit(2);
}

const HEARD_MS = 500;
const ANSWER = ["Of course. The station is not ", "far from here. Walk down to the river ", "and turn left."];

const file = createWriteStream(path);
const call = client(target).Converse({ deadline: Date.now() + 60_000 });
let heardMs = 0;
let rate = 24_000;
let turns = 0;

call.on("data", (message) => {
  switch (message.response) {
    case "started":
      console.error(`conversation ${message.started.conversationId}`);
      break;
    case "turnStarted":
      rate = message.turnStarted.format.sampleRateHz;
      break;
    case "audio": {
      const { audio, turnId } = message.audio;
      file.write(audio);
      const before = heardMs;
      heardMs += (audio.length / 2 / rate) * 1000;
      // Somebody speaks up: the rest of the first answer leaves the conversation.
      if (turns === 0 && before < HEARD_MS && heardMs >= HEARD_MS)
        call.write({ cancel: { turnId, heardMs: HEARD_MS } });
      break;
    }
    case "turnCompleted":
      if (!report(message.turnCompleted)) process.exitCode = 1;
      if (++turns === 1) {
        call.write({ text: { text: "As you like." } });
        call.write({ endOfTurn: {} });
        call.end();
      }
      break;
    case "turnTruncated":
      console.error(`turn ${message.turnTruncated.turnId}: ${message.turnTruncated.keptAudioMs} ms stay`);
  }
});
call.on("error", (error) => {
  console.error(statusName(error));
  process.exitCode = 1;
});
call.on("end", () => file.end());

// At most a quarter of a second ahead: what is cut off was hardly made.
call.write({ config: { maxLeadMs: 250 } });
for (const text of ANSWER) call.write({ text: { text } });
call.write({ endOfTurn: {} });
