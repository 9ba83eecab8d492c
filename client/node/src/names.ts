/** Checks for misspelt options, which JavaScript callers would not notice otherwise. */

import { brief } from "./brief.js";
import type { CallOptions } from "./call.js";
import type { FaceClientOptions } from "./client.js";
import { type FaceOptions, PARAMETERS } from "./contract.js";
import type { BreakerOptions } from "./endpoint.js";
import type { LocalOptions } from "./local/fallback.js";

type Names<T> = Record<keyof T, true>;

const CLIENT: Names<FaceClientOptions> = {
  urls: true,
  timeoutMs: true,
  retries: true,
  headers: true,
  fetch: true,
  breaker: true,
  local: true,
  simulated: true,
  useRealMl: true,
};
const BREAKER: Names<BreakerOptions> = {
  volumeThreshold: true,
  errorThresholdPercentage: true,
  resetTimeoutMs: true,
  probeTimeoutMs: true,
};
const LOCAL: Names<LocalOptions> = {
  models: true,
  threads: true,
  maxQueue: true,
  nmsIou: true,
  minConfidence: true,
  detectionSize: true,
  maxDetectionSize: true,
  orientation: true,
  refine: true,
  maxImageBytes: true,
  maxBase64Bytes: true,
  maxImagePixels: true,
  maxJpegPixels: true,
};
const SIMULATED: Names<NonNullable<FaceClientOptions["simulated"]>> = { maxConfidence: true };
const CALL: Names<CallOptions> = {
  timeoutMs: true,
  retries: true,
  requestId: true,
  headers: true,
  signal: true,
};

/** @throws RangeError that names an unknown option of the client. */
export function checkClientNames(options: FaceClientOptions): void {
  check("FaceClient", options, CLIENT);
  check("breaker", options.breaker ?? {}, BREAKER);
  check("local", options.local ?? {}, LOCAL);
  check("simulated", options.simulated ?? {}, SIMULATED);
}

/** @throws RangeError that names an option that no call has. */
export function checkCallNames(options: CallOptions & FaceOptions): void {
  check("a call", options, { ...CALL, ...PARAMETERS });
}

function check(whose: string, given: object, names: object): void {
  const unknown = Object.keys(given).find((name) => !Object.hasOwn(names, name));
  if (unknown === undefined) return;
  const known = Object.keys(names).join(", ");
  throw new RangeError(`${whose} has no option '${brief(unknown)}'; known: ${known}`);
}
