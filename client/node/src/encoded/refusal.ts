/** How photos are refused, in the service's words (aurum/imaging/decoding/refusal.py). */

import { InvalidImageError } from "../errors.js";

export const ACCEPTED =
  "accepted are JPEG, PNG, WebP, HEIC and AVIF photos, as they are or as base64";

export function refused(message: string, cause?: unknown): InvalidImageError {
  return new InvalidImageError(message, { code: "invalid_image", cause });
}

export function unsupported(what: string): InvalidImageError {
  return refused(`${what} are not supported; ${ACCEPTED}`);
}
