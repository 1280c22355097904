// What a call failed with: the status of gRPC and what its google.rpc details say.

import grpc from "@grpc/grpc-js";
import { decode } from "./wire.mjs";

/** @typedef {{ field: string, description: string }} FieldViolation */

/** A call or a turn that failed. */
export class CsmError extends Error {
  /**
   * @param {number} code - of gRPC
   * @param {string} message
   * @param {{ violations?: FieldViolation[], retryAfterMs?: number }} [details]
   */
  constructor(code, message, { violations = [], retryAfterMs } = {}) {
    super(message);
    this.name = "CsmError";
    /** The number of its gRPC status. */
    this.code = code;
    /** The name of its gRPC status, e.g. "INVALID_ARGUMENT". */
    this.status = grpc.status[code] ?? "UNKNOWN";
    /** Each field that is wrong, and what is allowed. */
    this.violations = violations;
    /** How long to wait before the next try, where the server says it. */
    this.retryAfterMs = retryAfterMs;
  }

  /**
   * The error behind what gRPC raised; anything else stays what it is.
   * @param {unknown} raised
   * @returns {unknown}
   */
  static of(raised) {
    if (!(raised instanceof Error) || !("code" in raised) || typeof raised.code !== "number")
      return raised;
    const { code, details, metadata } = /** @type {grpc.ServiceError} */ (raised);
    const [status] = metadata?.get("grpc-status-details-bin") ?? [];
    const told = Buffer.isBuffer(status) ? decode("google.rpc.Status", status) : undefined;
    return new CsmError(code, details || raised.message, detailsOf(told?.details ?? []));
  }

  /**
   * The error in a turn's terminal.
   * @param {{ code: number, message: string, details: PackedDetail[] }} status - google.rpc.Status
   */
  static ofTerminal(status) {
    return new CsmError(status.code, status.message, detailsOf(status.details));
  }
}

/** @typedef {{ type_url?: string, typeUrl?: string, value?: Uint8Array | string }} PackedDetail */

/** @param {PackedDetail[]} packed */
function detailsOf(packed) {
  /** @type {{ violations: FieldViolation[], retryAfterMs?: number }} */
  const found = { violations: [] };
  for (const one of packed) {
    const name = (one.type_url ?? one.typeUrl ?? "").split("/").pop() ?? "";
    if (!(one.value instanceof Uint8Array)) continue;
    const detail = decode(name, one.value);
    if (name === "google.rpc.BadRequest")
      found.violations.push(...(detail?.fieldViolations ?? []));
    if (name === "google.rpc.RetryInfo" && detail?.retryDelay)
      found.retryAfterMs = detail.retryDelay.seconds * 1000 + detail.retryDelay.nanos / 1e6;
  }
  return found;
}
