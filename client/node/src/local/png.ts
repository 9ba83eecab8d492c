/** A PNG's chunks (PNG 3rd edition), as aurum/imaging/decoding/png.py: its EXIF and its frames. */

import { inflateSync } from "node:zlib";
import { chunk, crc32 } from "../encoded/chunk.js";

const MAX_CHUNKS = 100_000;
/** EXIF fits into one segment of a JPEG; as hexadecimal digits it takes twice as much. */
const MAX_EXIF = 65_535;
const MAX_PROFILE = 3 * MAX_EXIF;
const PROFILE = "Raw profile type exif\0";
/** A chunk has its length and its name before its content, and a sum behind it. */
const BEFORE = 8;
const AROUND = 12;

/** All that a decoder gets beside EXIF. The rest may unpack to gigabytes, and says nothing of pixels. */
const PIXELS = ["IHDR", "PLTE", "tRNS", "IDAT", "IEND"];
/** How many chunks are looked into for EXIF: each may be some bytes that unpack to MAX_PROFILE. */
const MAX_TRIES = 8;

interface Png {
  /** The same picture, with its EXIF before its pixels, which is where libpng reads it. */
  data: Buffer;
  /** 1 where it is not animated. */
  frames: number;
}

/** Null if a chunk does not end within the file, or there are too many of them. */
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
      if (exif) kept.splice(2, 0, chunk("eXIf", exif)); // behind IHDR, which comes first
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

/** What ImageMagick wrote before eXIf was part of PNG: a name, a length, hexadecimal digits. */
function profile(content: Buffer, unpack: (packed: Buffer) => Buffer): Buffer | null {
  if (content.toString("latin1", 0, PROFILE.length) !== PROFILE) return null;
  try {
    const words = unpack(content.subarray(PROFILE.length)).toString("latin1").trim().split(/\s+/);
    const block = Buffer.from(words.slice(2).join(""), "hex");
    // A JPEG's EXIF begins so, a PNG's does not.
    return block.toString("latin1", 0, 6) === "Exif\0\0" ? block.subarray(6) : block;
  } catch {
    return null; // damaged EXIF never makes a photo unusable
  }
}
