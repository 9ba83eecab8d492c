/** The cost of malicious photos and texts is at most linear in their size. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { deflateSync } from "node:zlib";
import sharp from "sharp";
import { chunk } from "../src/encoded/chunk.js";
import { fromText, unwrapped } from "../src/encoded/text.js";
import { AurumError } from "../src/errors.js";
import { decode } from "../src/local/decode.js";
import { SimulatedFallback } from "../src/simulated.js";
import { imageOf } from "../src/worker/job.js";

const LIMITS = {
  maxImageBytes: 25e6,
  maxBase64Bytes: 25e6,
  maxImagePixels: 5e7,
  maxJpegPixels: 1.1e8,
};
const SIZE = 1_000_000;
const MOST_TIMES = 6;
/** Shorter measurements are noise of the clock, garbage collector and compiler. */
const NOISE_MS = 60;
/** Limit of the larger one's CPU time; the most was 230 ms when this was written. */
const BUDGET_MS = 2_000;
/** Limit of the resident memory of this process. */
const MEMORY_KB = 900_000;

const gray = { create: { width: 16, height: 16, channels: 3 as const, background: "gray" } };
const repeated = (one: Buffer, size: number) =>
  Buffer.alloc(one.length * Math.max(1, Math.floor(size / one.length)), one);
const text = (value: string) => Buffer.from(value, "latin1");

type Shape = (size: number) => Buffer | Promise<Buffer>;

/** A JPEG segment: marker, length and content. */
function segment(code: number, content: string): Buffer {
  const head = Buffer.from([0xff, code, 0, 0]);
  head.writeUInt16BE(content.length + 2, 2);
  return Buffer.concat([head, text(content)]);
}

async function jpeg(more: Buffer, behind = false): Promise<Buffer> {
  const file = await sharp(gray).jpeg().toBuffer();
  const at = behind ? file.length - 2 : 2;
  return Buffer.concat([file.subarray(0, at), more, file.subarray(at)]);
}

async function png(more: Buffer, behind = false): Promise<Buffer> {
  const file = await sharp(gray).png().toBuffer();
  const at = behind ? file.indexOf("IEND") - 4 : 33; // 33: after IHDR
  return Buffer.concat([file.subarray(0, at), more, file.subarray(at)]);
}

/** Data that unpacks to four megabytes. */
const BOMB = deflateSync(Buffer.alloc(4_000_000, 97));
const packed = (kind: string, head: string, data = BOMB) =>
  chunk(kind, Buffer.concat([text(head), data]));
const PROFILE = packed("zTXt", "Raw profile type exif\0\0", deflateSync(Buffer.alloc(196_000, 10)));

async function webp(flags: number, chunks: Buffer): Promise<Buffer> {
  return extended(flags, Buffer.concat([chunks, await webpPicture()]));
}

async function webpPicture(): Promise<Buffer> {
  return (await sharp(gray).webp().toBuffer()).subarray(12);
}

function extended(flags: number, chunks: Buffer): Buffer {
  const header = riff("VP8X", Buffer.from([flags, 0, 0, 0, 15, 0, 0, 15, 0, 0]));
  return riff("RIFF", Buffer.concat([text("WEBP"), header, chunks]));
}

function riff(name: string, content: Buffer): Buffer {
  const head = text(`${name}\0\0\0\0`);
  head.writeUInt32LE(content.length, 4);
  return Buffer.concat([head, content, Buffer.alloc(content.length % 2)]);
}

async function frames(size: number): Promise<Buffer> {
  const frame = riff("ANMF", Buffer.concat([Buffer.alloc(16), await webpPicture()]));
  return extended(2, Buffer.concat([riff("ANIM", Buffer.alloc(6)), repeated(frame, size)]));
}

function box(name: string, content: Buffer): Buffer {
  const head = text(`\0\0\0\0${name}`);
  head.writeUInt32BE(content.length + 8);
  return Buffer.concat([head, content]);
}

/** An AVIF with `more` inside its metadata box, or before it. */
async function avif(more: Buffer, inside: boolean): Promise<Buffer> {
  const file = await sharp({ create: { ...gray.create, width: 64, height: 64 } })
    .avif()
    .toBuffer();
  const meta = file.readUInt32BE(0);
  const end = meta + file.readUInt32BE(meta);
  const metadata = file.subarray(meta + 8, end);
  const changed = inside
    ? box("meta", Buffer.concat([metadata, more]))
    : Buffer.concat([more, file.subarray(meta, end)]);
  return Buffer.concat([file.subarray(0, meta), changed, file.subarray(end)]);
}

const EXIF = "Exif\0\0";
const SCANS = repeated(Buffer.from([0xff, 0xda, 0, 2]), 404);

const PHOTOS: Record<string, Shape> = {
  "jpeg fill bytes before scans": (size) =>
    Buffer.concat([text("\xff\xd8"), Buffer.alloc(size, 0xff), text("\0"), SCANS]),
  "jpeg exif": (size) => jpeg(repeated(segment(0xe1, EXIF), size)),
  "jpeg exif of TIFF": (size) => jpeg(repeated(segment(0xe1, `${EXIF}II*\0\x08\0\0\0\0\0`), size)),
  "jpeg icc": (size) => jpeg(repeated(segment(0xe2, "ICC_PROFILE\0\x01\xff"), size)),
  "jpeg xmp": (size) => jpeg(repeated(segment(0xe1, "http://ns.adobe.com/xap/1.0/\0"), size)),
  "jpeg iptc": (size) => jpeg(repeated(segment(0xed, "Photoshop 3.0\0"), size)),
  "jpeg comments": (size) => jpeg(repeated(segment(0xfe, ""), size)),
  "jpeg comments behind the pixels": (size) => jpeg(repeated(segment(0xfe, ""), size), true),
  "jpeg tables": (size) => jpeg(repeated(segment(0xdb, ""), size)),
  "jpeg restarts": (size) => jpeg(repeated(text("\xff\xd0"), size)),
  "jpeg stuffing": (size) => jpeg(repeated(text("\xff\0"), size)),
  "png text": (size) => png(repeated(chunk("tEXt", text("a\0b")), size)),
  "png packed text": (size) => png(repeated(packed("zTXt", "a\0\0"), size)),
  "png packed text behind": (size) => png(repeated(packed("zTXt", "a\0\0"), size), true),
  "png international text": (size) => png(repeated(packed("iTXt", "a\0\x01\0\0\0"), size)),
  "png profile": (size) => png(repeated(packed("iCCP", "a\0\0"), size)),
  "png exif": (size) => png(repeated(chunk("eXIf", Buffer.alloc(0)), size)),
  "png exif as packed text": (size) => png(repeated(PROFILE, size)),
  "png unknown": (size) => png(repeated(chunk("abCd", Buffer.alloc(0)), size)),
  "png empty pixels": (size) => png(repeated(chunk("IDAT", Buffer.alloc(0)), size)),
  "webp unknown": (size) => webp(0, repeated(riff("abcd", Buffer.alloc(0)), size)),
  "webp exif": (size) => webp(8, repeated(riff("EXIF", text(EXIF)), size)),
  "webp profiles": (size) => webp(32, repeated(riff("ICCP", Buffer.alloc(2)), size)),
  "webp frames": frames,
  "heif boxes": (size) => avif(repeated(box("free", Buffer.alloc(0)), size), false),
  "heif boxes of metadata": (size) => avif(repeated(box("free", Buffer.alloc(0)), size), true),
  "heif brands": (size) => box("ftyp", repeated(text("avif"), size)),
};

const TEXTS: Record<string, (size: number) => string> = {
  digits: (size) => "A".repeat(size),
  "digits before another": (size) => `${"A".repeat(size)}%`,
  blanks: (size) => `${" ".repeat(size)}%`,
  "blanks behind": (size) => `/9j/${" ".repeat(size)}%`,
  "blanks and digits": (size) => "A ".repeat(size / 2),
  "digits, blanks": (size) => `${"A".repeat(size / 2)}${"\n".repeat(size / 2)}%`,
  padding: (size) => `/9j/${"=".repeat(size)}%`,
  "padding and blanks": (size) => `/9j/${"= ".repeat(size / 2)}%`,
  "the alphabet of URLs": (size) => "-_".repeat(size / 2),
  "a data URL of commas": (size) => `data:;base64,${",".repeat(size)}`,
  "a data URL of parameters": (size) => `data:${";a=b".repeat(size / 4)};base64,`,
  "a data URL without an end": (size) => `data:${" ".repeat(size)}`,
  "no Latin": (size) => "\u0100".repeat(size),
};

/** The CPU time of `work` in milliseconds; a refusal counts as an answer. */
async function cost(work: () => unknown): Promise<number> {
  const before = process.cpuUsage();
  try {
    await work();
  } catch (error) {
    if (!(error instanceof AurumError)) throw error;
  }
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

async function isLinear(small: () => unknown, large: () => unknown): Promise<void> {
  await cost(small); // warm-up
  const [once, fourfold] = [await cost(small), await cost(large)];
  assert.ok(fourfold < BUDGET_MS, `${fourfold} ms`);
  const most = MOST_TIMES * Math.max(once, NOISE_MS);
  assert.ok(fourfold <= most, `${once} ms, and ${fourfold} ms for four times as much`);
}

const simulated = new SimulatedFallback(0.5);
const answer = (image: Buffer) =>
  simulated.infer({ image, pipeline: "detect_faces", options: {}, signals: [] });

for (const [name, shape] of Object.entries(PHOTOS)) {
  test(`photo: ${name}`, async () => {
    const [small, large] = [await shape(SIZE), await shape(4 * SIZE)];
    for (const look of [(photo: Buffer) => decode(sharp, photo, LIMITS), answer]) {
      await isLinear(
        () => look(small),
        () => look(large),
      );
    }
  });
}

for (const [name, shape] of Object.entries(TEXTS)) {
  test(`text: ${name}`, async () => {
    const [small, large] = [shape(SIZE), shape(4 * SIZE)];
    for (const look of [
      (job: string) => fromText(job, LIMITS),
      (job: string) => unwrapped(Buffer.from(job), LIMITS),
      (job: string) => imageOf({ image: job, isBase64: true }, undefined, LIMITS),
      (job: string) => imageOf({ image: job }, "/", LIMITS),
    ]) {
      await isLinear(
        () => look(small),
        () => look(large),
      );
    }
  });
}

test("memory stays small: packed data other than pixels is not unpacked", () => {
  const { maxRSS } = process.resourceUsage();
  assert.ok(maxRSS < MEMORY_KB, `${maxRSS} kB`);
});
