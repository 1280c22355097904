// What the examples print.

import { CsmError } from "./csm/index.mjs";

/**
 * Says what a terminal holds. True: the turn did not fail.
 * @param {import("./csm/conversation.mjs").TurnCompleted} completed
 */
export function report({ turnId, finishReason, keptAudioMs, heard, error, warnings }) {
  const kind = heard ? "heard" : "spoken";
  console.error(`${kind} turn ${turnId}: ${finishReason}, ${keptAudioMs} ms kept`);
  for (const { field, firstChar, endChar, description } of warnings)
    console.error(`  ${field} ${firstChar}..${endChar}: ${description}`);
  if (error) console.error(`  ${error.code}: ${error.message}`);
  return !error;
}

/**
 * Runs an example; what fails is said in one line, and ends it with 1.
 * @param {() => Promise<void>} example
 */
export async function run(example) {
  try {
    await example();
  } catch (error) {
    if (!(error instanceof CsmError)) throw error;
    console.error(`${error.status}: ${error.message}`);
    process.exitCode = 1;
  }
}
