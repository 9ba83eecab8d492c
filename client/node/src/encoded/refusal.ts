/** Refusals of photos, worded like the service's (aurum/imaging/decoding/refusal.py). */

import { InvalidImageError } from "../errors.js";
import { acceptedFormat, type Format, refusedFormat } from "./formats.js";

export const ACCEPTED =
  "accepted are JPEG, PNG, WebP, HEIC and AVIF photos, as they are or as base64";

/** @throws InvalidImageError: the bytes are no image, or have a format that is not accepted. */
export function formatOf(data: Buffer): Format {
  const format = acceptedFormat(data);
  if (format !== null) return format;
  const name = refusedFormat(data);
  if (name !== null) throw unsupported(`${name} images`);
  throw refused(`the bytes are not an image; ${ACCEPTED}`);
}

export function refused(message: string, cause?: unknown): InvalidImageError {
  return new InvalidImageError(message, { code: "invalid_image", cause });
}

export function unsupported(what: string): InvalidImageError {
  return refused(`${what} are not supported; ${ACCEPTED}`);
}
