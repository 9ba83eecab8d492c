/** Photos sent as base64 or data URLs, like aurum/imaging/decoding/text.py. */

import { acceptedFormat, refusedFormat } from "./formats.js";
import { ACCEPTED, refused } from "./refusal.js";

/** The largest photo, in bytes, and the largest one sent as base64. */
export interface ByteLimits {
  maxImageBytes: number;
  maxBase64Bytes: number;
}

const NO_LIMITS: ByteLimits = { maxImageBytes: Infinity, maxBase64Bytes: Infinity };
/** Characters of base64 per byte, with a line break (CR LF) after every 64 characters. */
const CHARACTERS = (4 / 3) * (66 / 64);
/** Allowance for the head of a data URL and some blanks, the same as the gateway's. */
const MORE_CHARACTERS = 65_536;
const BLANKS = " \t\r\n\v\f";
const PADDING = "=".charCodeAt(0);
const [BLANK, DIGIT] = [1, 2];
/** For each byte value: BLANK, DIGIT or, for all others, 0. */
const KINDS = Uint8Array.from({ length: 256 }, (_, byte) => {
  const character = String.fromCharCode(byte);
  if (BLANKS.includes(character)) return BLANK;
  return /[\w+/-]/.test(character) ? DIGIT : 0;
});
/** The longest part of a data URL before its comma, in characters. */
const MEDIA_TYPE = 2048;
/** Characters that are enough to decode any format's magic bytes. */
const BEGINNING = 64;

/**
 * Decode the file if it is base64. It is base64 if it doesn't start with a format's magic bytes but
 * decodes to bytes that do.
 *
 * @throws InvalidImageError: see `fromText`
 */
export function unwrapped(given: Uint8Array, limits: ByteLimits = NO_LIMITS): Buffer {
  const data = Buffer.from(given.buffer, given.byteOffset, given.byteLength);
  if (isKnown(data)) return data;
  const start = data.findIndex((byte) => KINDS[byte] !== BLANK);
  const head = data.toString("latin1", Math.max(start, 0), start + 2 * BEGINNING);
  const isText = isDataUrl(head) || isBase64OfImage(head);
  return isText ? fromText(data.toString("latin1"), limits) : data;
}

/** Whether `text` begins like base64 of an image, accepted or not. */
export function isBase64OfImage(text: string): boolean {
  const head = text.trimStart().slice(0, 2 * BEGINNING);
  const [digits] = /^[\w+/-]*/.exec(digitsOf(head).toString("latin1", 0, BEGINNING))!;
  const whole = digits.slice(0, digits.length - (digits.length % 4));
  return isKnown(Buffer.from(whole, "base64"));
}

/**
 * Decode base64, or a data URL that contains it: with blanks and line breaks anywhere, with or
 * without padding, in the standard or the URL-safe alphabet (RFC 4648, RFC 2397).
 *
 * @throws InvalidImageError: it is damaged, or has too many bytes
 */
export function fromText(text: string, limits: ByteLimits = NO_LIMITS): Buffer {
  checkLength(text, limits);
  const trimmed = text.trimStart();
  const digits = digitsOf(isDataUrl(trimmed) ? payload(trimmed) : text);
  const size = bytesOf(digits.length);
  if (size > Math.min(limits.maxImageBytes, limits.maxBase64Bytes)) throw tooMany(size, limits);
  if (!digits.every((byte) => KINDS[byte] === DIGIT)) throw damaged("it has other characters");
  if (digits.length % 4 === 1) throw damaged("it is cut off");
  return Buffer.from(digits.toString("latin1"), "base64"); // takes both alphabets
}

/** Reject text that is too long, without looking at its characters. @throws InvalidImageError */
export function checkLength(text: string, limits: ByteLimits): void {
  const bytes = Math.min(limits.maxImageBytes, limits.maxBase64Bytes);
  const most = Math.ceil(bytes * CHARACTERS) + MORE_CHARACTERS;
  if (text.length > most) throw tooMany(bytesOf(text.length), limits); // counts line breaks, too
}

function bytesOf(characters: number): number {
  return Math.floor((characters * 3) / 4);
}

function isKnown(data: Buffer): boolean {
  return acceptedFormat(data) !== null || refusedFormat(data) !== null;
}

/** Whether `text` is a data URL; blanks may precede it. */
export function isDataUrl(text: string): boolean {
  return text.trimStart().slice(0, 5).toLowerCase() === "data:";
}

/** The part of a data URL after its comma; any media type is accepted. */
function payload(url: string): string {
  const comma = url.slice(0, MEDIA_TYPE).indexOf(",");
  const encoding = url.slice(0, Math.max(comma, 0)).split(";").slice(1).at(-1);
  if (encoding?.trim().toLowerCase() !== "base64") {
    throw refused(`the data URL is not base64; ${ACCEPTED}`);
  }
  return url.slice(comma + 1);
}

/**
 * Remove blanks and padding, in one pass over the bytes: a regular expression could backtrack from
 * each of many characters.
 */
function digitsOf(text: string): Buffer {
  const digits = Buffer.from(text); // bytes of non-ASCII characters are never base64 digits
  let count = 0;
  for (const byte of digits) {
    if (KINDS[byte] !== BLANK) digits[count++] = byte;
  }
  while (digits[count - 1] === PADDING) count--;
  return digits.subarray(0, count);
}

function damaged(how: string) {
  return refused(`the image is damaged base64 (${how}); ${ACCEPTED}`);
}

function tooMany(size: number, { maxImageBytes, maxBase64Bytes }: ByteLimits) {
  if (maxImageBytes <= maxBase64Bytes) return tooManyBytes(size, maxImageBytes);
  return refused(
    `the image has ${size} bytes; at most ${maxBase64Bytes} are allowed as base64 ` +
      `(AURUM_MAX_BASE64_BYTES): send larger ones in binary, with at most ${maxImageBytes}`,
  );
}

export function tooManyBytes(size: number, most: number) {
  return refused(
    `the image has ${size} bytes; at most ${most} are allowed (AURUM_MAX_IMAGE_BYTES)`,
  );
}
