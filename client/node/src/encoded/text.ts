/** Photos that come as text, as aurum/imaging/decoding/text.py: base64 in any spelling, and data URLs. */

import { acceptedFormat, refusedFormat } from "./formats.js";
import { ACCEPTED, refused } from "./refusal.js";

/** How many bytes a photo may have, and how many of it may come as base64. */
export interface ByteLimits {
  maxImageBytes: number;
  maxBase64Bytes: number;
}

/** The service's own defaults (aurum/settings.py). */
export const BYTE_LIMITS: ByteLimits = { maxImageBytes: 25_000_000, maxBase64Bytes: 10_000_000 };
const NONE: ByteLimits = { maxImageBytes: Infinity, maxBase64Bytes: Infinity };
/** What base64 takes of text for each byte, with a line break (CR LF) after each 64 characters. */
const CHARACTERS = (4 / 3) * (66 / 64);
/** Beside that: the head of a data URL, and some blanks; as the gateway allows. */
const MORE_CHARACTERS = 65_536;
const BLANKS = " \t\r\n\v\f";
const PADDING = "=".charCodeAt(0);
const [BLANK, DIGIT] = [1, 2];
/** What each byte is. */
const KINDS = Uint8Array.from({ length: 256 }, (_, byte) => {
  const character = String.fromCharCode(byte);
  if (BLANKS.includes(character)) return BLANK;
  return /[\w+/-]/.test(character) ? DIGIT : 0;
});
/** Characters that the part of a data URL before its comma may have. */
const MEDIA_TYPE = 2048;
/** Characters in which any format shows by its magic bytes. */
const BEGINNING = 64;

/**
 * The file that `data` is or stands for. Taken for base64 is what has no format's magic bytes, but
 * stands for bytes that have.
 *
 * @throws InvalidImageError: as `fromText`
 */
export function unwrapped(given: Uint8Array, limits: ByteLimits = NONE): Buffer {
  const data = Buffer.from(given.buffer, given.byteOffset, given.byteLength);
  if (isKnown(data)) return data;
  const start = data.findIndex((byte) => KINDS[byte] !== BLANK);
  const head = data.toString("latin1", Math.max(start, 0), start + 2 * BEGINNING);
  const [digits] = /^[\w+/-]*/.exec(digitsOf(head).toString("latin1", 0, BEGINNING))!;
  const whole = digits.slice(0, digits.length - (digits.length % 4));
  const isText = isDataUrl(head) || isKnown(Buffer.from(whole, "base64"));
  return isText ? fromText(data.toString("latin1"), limits) : data;
}

/**
 * The bytes of base64, or of a data URL with it: with blanks and line breaks anywhere, with or
 * without padding, in the usual alphabet or that of URLs (RFC 4648, RFC 2397).
 *
 * @throws InvalidImageError: damaged, or more bytes than are allowed
 */
export function fromText(text: string, limits: ByteLimits = NONE): Buffer {
  checkLength(text, limits);
  const trimmed = text.trimStart();
  const digits = digitsOf(isDataUrl(trimmed) ? payload(trimmed) : text);
  const size = bytesOf(digits.length);
  if (size > Math.min(limits.maxImageBytes, limits.maxBase64Bytes)) throw tooMany(size, limits);
  if (!digits.every((byte) => KINDS[byte] === DIGIT)) throw damaged("it has other characters");
  if (digits.length % 4 === 1) throw damaged("it is cut off");
  return Buffer.from(digits.toString("latin1"), "base64"); // takes both alphabets
}

/** Before anything looks at the characters. @throws InvalidImageError */
export function checkLength(text: string, limits: ByteLimits): void {
  const bytes = Math.min(limits.maxImageBytes, limits.maxBase64Bytes);
  const most = Math.ceil(bytes * CHARACTERS) + MORE_CHARACTERS;
  if (text.length > most) throw tooMany(bytesOf(text.length), limits); // but for its line breaks
}

function bytesOf(characters: number): number {
  return Math.floor((characters * 3) / 4);
}

function isKnown(data: Buffer): boolean {
  return acceptedFormat(data) !== null || refusedFormat(data) !== null;
}

function isDataUrl(text: string): boolean {
  return text.slice(0, 5).toLowerCase() === "data:";
}

/** What follows the comma of a data URL; its media type is free. */
function payload(url: string): string {
  const comma = url.slice(0, MEDIA_TYPE).indexOf(",");
  const encoding = url.slice(0, Math.max(comma, 0)).split(";").slice(1).at(-1);
  if (encoding?.trim().toLowerCase() !== "base64") {
    throw refused(`the data URL is not base64; ${ACCEPTED}`);
  }
  return url.slice(comma + 1);
}

/**
 * Without blanks, and without padding. In one pass over bytes: a regular expression may look again
 * from each of many characters.
 */
function digitsOf(text: string): Buffer {
  const digits = Buffer.from(text); // what is not ASCII takes bytes that are none of base64's
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
