/** EXIF and frames of a PNG (PNG 3rd edition), like aurum/imaging/decoding/png.py. */

import { inflateSync } from "node:zlib";
import { chunk, crc32 } from "../encoded/chunk.js";

const MAX_CHUNKS = 100_000;
/** EXIF fits into one JPEG segment; hexadecimal digits double its size. */
const MAX_EXIF = 65_535;
const MAX_PROFILE = 3 * MAX_EXIF;
const PROFILE = "Raw profile type exif\0";
/** A chunk has its length and name before its content, and a checksum after it. */
const BEFORE = 8;
const AROUND = 12;

/** The chunks passed to the decoder. Others may unpack to gigabytes and don't affect the pixels. */
const PIXELS = ["IHDR", "PLTE", "tRNS", "IDAT", "IEND"];
/** The most chunks searched for EXIF: a few bytes may unpack to MAX_PROFILE. */
const MAX_TRIES = 8;

interface Png {
  /** The same image with its EXIF before its pixels, where libpng reads it. */
  data: Buffer;
  /** 1 if it is not animated. */
  frames: number;
}

/** Read the chunks; null if one exceeds the file, or if there are too many. */
export function readPng(data: Buffer): Png | null {
  const kept = [data.subarray(0, BEFORE)];
  let exif: Buffer | null = null;
  let tries = 0;
  let frames = 1;
  for (let at = BEFORE, count = 0; count < MAX_CHUNKS; count++) {
    if (at + BEFORE > data.length) return null;
    const name = data.toString("latin1", at + 4, at + BEFORE);
    if (name === "IEND") {
      kept.push(data.subarray(at));
      if (exif) kept.splice(2, 0, chunk("eXIf", exif)); // after IHDR, the first chunk
      return { data: Buffer.concat(kept), frames };
    }
    const end = at + AROUND + data.readUInt32BE(at);
    if (end > data.length) return null;
    const whole = data.subarray(at, end);
    if (PIXELS.includes(name)) kept.push(whole);
    if (name === "acTL") frames = data.readUInt32BE(at + BEFORE);
    if (exif === null && name in READERS && tries++ < MAX_TRIES) exif = exifIn(name, whole);
    at = end;
  }
  return null;
}

const READERS: Record<string, (content: Buffer) => Buffer | null> = {
  eXIf: (content) => (content.length <= MAX_EXIF ? content : null),
  tEXt: (content) => profile(content, (text) => text),
  zTXt: (content) =>
    profile(content, (packed) => inflateSync(packed.subarray(1), { maxOutputLength: MAX_PROFILE })),
};

function exifIn(name: string, whole: Buffer): Buffer | null {
  const read = READERS[name];
  if (!read || whole.length - AROUND > MAX_PROFILE) return null;
  if (crc32(whole.subarray(4, -4)) !== whole.readUInt32BE(whole.length - 4)) return null;
  const block = read(whole.subarray(BEFORE, -4));
  return block?.length ? block : null;
}

/** EXIF as ImageMagick wrote it before PNG had eXIf: a name, a length, hexadecimal digits. */
function profile(content: Buffer, unpack: (packed: Buffer) => Buffer): Buffer | null {
  if (content.toString("latin1", 0, PROFILE.length) !== PROFILE) return null;
  try {
    const words = unpack(content.subarray(PROFILE.length)).toString("latin1").trim().split(/\s+/);
    const block = Buffer.from(words.slice(2).join(""), "hex");
    // EXIF in a JPEG starts with this marker; in a PNG it doesn't.
    return block.toString("latin1", 0, 6) === "Exif\0\0" ? block.subarray(6) : block;
  } catch {
    return null; // damaged EXIF doesn't make a photo unusable
  }
}
