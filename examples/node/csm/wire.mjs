// The protos as they are in the repository, loaded at run time.

import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";
import { getProtoPath } from "google-proto-files";
import protobuf from "protobufjs";

const protos = fileURLToPath(new URL("../../../protos", import.meta.url));
// csm.v1 uses google/rpc/status.proto, which lies in that package.
const google = dirname(dirname(getProtoPath("rpc")));

const definition = protoLoader.loadSync("csm/v1/speech.proto", {
  includeDirs: [protos, google],
  defaults: true,
  oneofs: true,
  enums: String,
  longs: Number,
});
const loaded = /** @type {import("../generated/speech.js").ProtoGrpcType} */ (
  /** @type {unknown} */ (grpc.loadPackageDefinition(definition))
);

/** The service as gRPC's own client class, and its definition for a server. */
export const SpeechService = loaded.csm.v1.SpeechService;

const root = new protobuf.Root();
/** @type {(origin: string, target: string) => string} */
const find = (_, target) => (target.startsWith("/") ? target : `${google}/${target}`);
root.resolvePath = find;
root.loadSync(["google/rpc/status.proto", "google/rpc/error_details.proto"]);

/**
 * A message of google.rpc out of its bytes, or undefined where that type is not known here.
 * @param {string} name - its full name, e.g. "google.rpc.Status"
 * @param {Uint8Array} bytes
 * @returns {Record<string, any> | undefined}
 */
export function decode(name, bytes) {
  const type = name.startsWith("google.rpc.") ? root.lookup(name) : null;
  return type instanceof protobuf.Type
    ? type.toObject(type.decode(bytes), { defaults: true, longs: Number })
    : undefined;
}

/**
 * The bytes of a message of google.rpc.
 * @param {string} name
 * @param {Record<string, unknown>} values
 */
export const encode = (name, values) => {
  const type = root.lookupType(name);
  return Buffer.from(type.encode(type.fromObject(values)).finish());
};
