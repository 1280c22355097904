// The client that the other files here use: the protos are all that is needed.

import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";
import { getProtoPath } from "google-proto-files";

const protos = fileURLToPath(new URL("../../protos", import.meta.url));
// csm.v1 uses google/rpc/status.proto, which lies in that package.
const google = dirname(dirname(getProtoPath("rpc")));

const definition = protoLoader.loadSync("csm/v1/speech.proto", {
  includeDirs: [protos, google],
  defaults: true,
  oneofs: true,
  enums: String,
  longs: Number,
});
const { SpeechService } = grpc.loadPackageDefinition(definition).csm.v1;

export const client = (target) =>
  new SpeechService(target, grpc.credentials.createInsecure(), {
    "grpc.enable_http_proxy": 0,
  });

export const statusName = (error) => `${grpc.status[error.code]}: ${error.details}`;

// Says what a terminal holds. True: the turn did not fail.
export function report({ turnId, finishReason, keptAudioMs, heard, error, warnings }) {
  const kind = heard ? "heard" : "spoken";
  console.error(`${kind} turn ${turnId}: ${finishReason}, ${keptAudioMs} ms kept`);
  for (const { field, firstChar, endChar, description } of warnings)
    console.error(`  ${field} ${firstChar}..${endChar}: ${description}`);
  if (error) console.error(`  ${grpc.status[error.code]}: ${error.message}`);
  return !error;
}
