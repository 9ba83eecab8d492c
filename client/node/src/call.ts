/** The options that every call has, and their checks. */

import { randomUUID } from "node:crypto";
import { brief } from "./brief.js";
import { checkHeaders, ID_HEADER, type RequestHeaders } from "./headers.js";

export interface CallOptions {
  /** Overrides the client's `timeoutMs` for this call. */
  timeoutMs?: number | undefined;
  /** Overrides the client's `retries` for this call. */
  retries?: number | undefined;
  /**
   * Identifies the call in the server's logs and traces: 1 to 128 printable ASCII characters without
   * blanks. Default: the header X-Request-Id of `headers`, or a random UUID.
   */
  requestId?: string | undefined;
  /** HTTP headers of this call; they take precedence over the client's. */
  headers?: RequestHeaders | undefined;
  /** Aborts the call, which then rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
}

const ID = /^[\x21-\x7e]{1,128}$/;

/** @throws RangeError: an option has an invalid value. */
export function checkCall({ timeoutMs, retries, headers }: CallOptions): void {
  if (timeoutMs !== undefined) checkNumber("timeoutMs", timeoutMs, timeoutMs > 0);
  if (retries !== undefined) checkWhole("retries", retries, 0);
  checkHeaders(headers);
}

/** The call's request id: the caller's, or a new one. @throws RangeError: it is not valid. */
export function requestIdOf({ requestId, headers = {} }: CallOptions): string {
  const name = Object.keys(headers).find((key) => key.toLowerCase() === ID_HEADER);
  const id = requestId ?? (name === undefined ? randomUUID() : headers[name]);
  if (typeof id === "string" && ID.test(id)) return id;
  throw new RangeError(
    `requestId='${brief(id)}': must be 1 to 128 printable ASCII characters without blanks`,
  );
}

/** The id of one of a call's photos. */
export function numbered(requestId: string, index: number): string {
  return `${requestId}-${index}`;
}

/** @throws RangeError: `value` is not a number, or not an allowed one. */
export function checkNumber(name: string, value: number, allowed: boolean): void {
  if (allowed && Number.isFinite(value)) return;
  throw new RangeError(`${name}=${brief(value)} is not allowed`);
}

/** @throws RangeError: `value` is not a whole number of at least `least`. */
export function checkWhole(name: string, value: number, least: number): void {
  checkNumber(name, value, Number.isSafeInteger(value) && value >= least);
}
