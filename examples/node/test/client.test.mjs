// The client against a gateway that does what the tests tell it: `npm test`.

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { CsmClient, CsmError } from "../csm/index.mjs";
import { encode } from "../csm/wire.mjs";
import { FakeGateway, refusal } from "./fake_gateway.mjs";

const BAD_VOICE = /** @type {[string, Record<string, unknown>]} */ ([
  "google.rpc.BadRequest",
  { fieldViolations: [{ field: "voice", description: "'x' is not known" }] },
]);

/** @type {FakeGateway} */ let fake;
/** @type {CsmClient} */ let client;

beforeEach(async () => {
  fake = new FakeGateway();
  client = new CsmClient(await fake.start(), { metadata: { authorization: "Bearer x" } });
});

afterEach(() => {
  client.close();
  fake.stop();
});

test("a text is spoken, and its beginning and end are told", async () => {
  const speech = client.synthesize({ text: "Hello.", voice: "heart", sampling: { seed: 7 } });
  let bytes = 0;
  for await (const { audio, firstSample } of speech) {
    assert.equal(firstSample * 2, bytes);
    bytes += audio.length;
  }
  assert.equal(bytes, 3 * 3840);
  assert.equal(speech.started?.format?.sampleRateHz, 24_000);
  assert.equal(speech.completed?.finishReason, "FINISH_REASON_EOS");
  assert.equal(fake.received[0].sampling.seed, 7);
  assert.deepEqual(fake.metadata[0].get("authorization"), ["Bearer x"]);
});

test("who leaves the loop ends the turn at the server", async () => {
  Object.assign(fake, { chunks: 1000, pauseMs: 5 });
  for await (const _ of client.synthesize({ text: "A story." })) break;
  for (let tries = 0; tries < 100 && !fake.endedCalls; tries++) await sleep(20);
  assert.equal(fake.endedCalls, 1);
});

test("a refusal names the field, the value and what is allowed, and is not tried again", async () => {
  fake.refusals = [refusal(3, "voice: 'x' is not known", [BAD_VOICE])];
  await assert.rejects(
    async () => {
      for await (const _ of client.synthesize({ text: "Hello.", voice: "x" }));
    },
    (/** @type {CsmError} */ error) => {
      assert.ok(error instanceof CsmError);
      assert.equal(error.status, "INVALID_ARGUMENT");
      assert.deepEqual(error.violations, [{ field: "voice", description: "'x' is not known" }]);
      return true;
    },
  );
  assert.equal(fake.calls, 1);
});

test("what is unavailable is tried again before anything was heard", async () => {
  fake.refusals = [refusal(14, "draining")];
  const { voices, defaultVoice } = await client.listVoices();
  assert.deepEqual([voices.map((v) => v.name), defaultVoice, fake.calls], [["heart"], "heart", 2]);
});

test("a turn that failed raises what its terminal says, after its audio", async () => {
  fake.error = {
    code: 8,
    message: "no slot is free",
    details: [
      {
        type_url: "type.googleapis.com/google.rpc.RetryInfo",
        value: encode("google.rpc.RetryInfo", { retryDelay: { seconds: 2, nanos: 500_000_000 } }),
      },
    ],
  };
  let chunks = 0;
  await assert.rejects(
    async () => {
      for await (const _ of client.synthesize({ text: "Hello." })) chunks++;
    },
    { name: "CsmError", status: "RESOURCE_EXHAUSTED", retryAfterMs: 2500 },
  );
  assert.equal(chunks, 3);
});

test("a call that takes too long is DEADLINE_EXCEEDED", async () => {
  Object.assign(fake, { chunks: 1000, pauseMs: 20 });
  await assert.rejects(
    async () => {
      for await (const _ of client.synthesize({ text: "A story." }, { timeoutMs: 200 }));
    },
    { status: "DEADLINE_EXCEEDED" },
  );
});

test("a conversation is interrupted, and goes on", async () => {
  Object.assign(fake, { chunks: 1000, pauseMs: 5 });
  const conversation = await client.converse({ conversationId: "c", voice: "heart" });
  assert.equal(conversation.id, "c");
  await conversation.say("A long ");
  await conversation.say("story.");
  await conversation.flush();
  await conversation.endTurn();
  /** @type {string[]} */ const ends = [];
  let audio = 0;
  for await (const event of conversation) {
    if (event.type === "audio" && ++audio === 2)
      await conversation.cancel({ turnId: event.turnId, heardMs: 0 });
    if (event.type === "turnCompleted") {
      ends.push(event.finishReason);
      if (ends.length === 1) {
        fake.chunks = 2;
        await conversation.sendAudio(Buffer.alloc(100));
        await conversation.endTurn("Stop!");
        conversation.finish();
      }
    }
  }
  assert.deepEqual(ends, ["FINISH_REASON_CANCELLED", "FINISH_REASON_EOS"]);
  const sent = fake.received.map((message) => message.request);
  assert.deepEqual(sent, [
    "config", "text", "text", "flush", "endOfTurn", "cancel", "heardAudio", "endOfTurn",
  ]);
  assert.equal(fake.received[5].cancel.heardMs, 0);
  assert.equal(fake.received[7].endOfTurn.heardText, "Stop!");
  await assert.rejects(() => conversation.say("More."), { status: "FAILED_PRECONDITION" });
});

test("a cancel without a position says nothing of what was heard", async () => {
  const conversation = await client.converse();
  await conversation.cancel();
  await conversation.endTurn();
  conversation.finish();
  for await (const _ of conversation);
  const cancel = fake.received.find((message) => message.cancel).cancel;
  assert.equal(cancel._heardMs, undefined);
});

test("a conversation that the server ends raises why", async () => {
  fake.refusals = [refusal(9, "the conversation is in use")];
  const conversation = await client.converse();
  await conversation.say("Hello.");
  await assert.rejects(
    async () => {
      for await (const _ of conversation);
    },
    { name: "CsmError", status: "FAILED_PRECONDITION", message: "the conversation is in use" },
  );
});

test("a server that is not there is UNAVAILABLE", async () => {
  const nobody = new CsmClient("127.0.0.1:1");
  await assert.rejects(() => nobody.converse({}, { timeoutMs: 3000 }), (/** @type {CsmError} */ e) =>
    ["UNAVAILABLE", "DEADLINE_EXCEEDED"].includes(e.status),
  );
  nobody.close();
});
