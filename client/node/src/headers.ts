/** HTTP headers as plain objects. */

import { brief } from "./brief.js";

/** The header that carries a call's id, in requests and in the gateway's answers. */
export const ID_HEADER = "x-request-id";

/** Names and values. */
export type RequestHeaders = Readonly<Record<string, string>>;

/** The HTTP response that a result or an error comes from. */
export interface ResponseInfo {
  /** The server that sent it. */
  url: string;
  status: number;
  /** Its headers, with names in lower case. */
  headers: Readonly<Record<string, string>>;
}

/** Headers that describe the body or the connection, which the client sets itself. */
const OWN = [
  "connection",
  "content-length",
  "content-type",
  "expect",
  "inference-header-content-length",
  "keep-alive",
  "transfer-encoding",
  "upgrade",
];

/** Check headers, in words that don't contain their values, which may be keys. @throws RangeError */
export function checkHeaders(headers: RequestHeaders | undefined): void {
  if (headers === undefined) return;
  if (typeof headers !== "object" || headers === null || Symbol.iterator in headers) {
    throw new RangeError("headers: must be an object of names and values");
  }
  for (const [name, value] of Object.entries(headers)) {
    if (OWN.includes(name.toLowerCase())) {
      throw new RangeError(`headers: the client sets '${brief(name)}' itself`);
    }
    if (!isValid(name, value)) {
      throw new RangeError(`headers: '${brief(name)}' has an invalid name or value`);
    }
  }
}

function isValid(name: string, value: unknown): boolean {
  if (typeof value !== "string") return false;
  try {
    new Headers({ [name]: value });
    return true;
  } catch {
    return false; // its message would contain the value
  }
}

/** The milliseconds from now in a Retry-After (RFC 9110): seconds, or a date; else null. */
export function retryAfter(value = ""): number | null {
  if (/^\d{1,9}$/.test(value)) return 1000 * Number(value);
  // Date.parse alone also reads much that is no date.
  const date = / GMT$/.test(value) ? Date.parse(value) : Number.NaN;
  return Number.isNaN(date) ? null : Math.max(0, date - Date.now());
}

/** Merge headers, with names in lower case; later ones take precedence. */
export function merged(...all: (RequestHeaders | undefined)[]): Record<string, string> {
  const entries = all.flatMap((headers) => Object.entries(headers ?? {}));
  return Object.fromEntries(entries.map(([name, value]) => [name.toLowerCase(), value]));
}
