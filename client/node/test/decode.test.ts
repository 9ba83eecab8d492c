/** Decoding in the local fallback, compared with the service's own code. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import sharp from "sharp";
import { InvalidImageError, UnavailableError } from "../src/index.js";
import { decode, type ImageLimits } from "../src/local/decode.js";
import { ASTRONAUT, python } from "./support.js";

const photo = readFileSync(ASTRONAUT);
const LIMITS: ImageLimits = {
  maxImageBytes: 1e7,
  maxBase64Bytes: 1e7,
  maxImagePixels: 5e7,
  maxJpegPixels: 5e7,
};
const decoded = (bytes: Buffer, limits = {}) => decode(sharp, bytes, { ...LIMITS, ...limits });

interface Decoded {
  width: number;
  height: number;
  data: Buffer;
}

/** The image files of the service's own tests. */
function files(kind: "good" | "bad"): Record<string, Buffer> {
  const script = `
import base64, json, sys
sys.path.append("tests/support")
import images
files = images.${kind}()
print(json.dumps({name: base64.b64encode(file[0]).decode() for name, file in files.items()}))`;
  const all = JSON.parse(python(script, "").toString()) as Record<string, string>;
  return Object.fromEntries(
    Object.entries(all).map(([name, text]) => [name, Buffer.from(text, "base64")]),
  );
}

/** The pixels that the service decodes of each photo, or the reason of its refusal. */
function service(photos: Buffer[]): (Decoded | string)[] {
  const script = `
import base64, json, sys
from aurum.imaging.decoding.decode import decode
for text in json.load(sys.stdin):
    try:
        photo = decode(base64.b64decode(text), 10**7, 5 * 10**7)
    except ValueError as error:
        print(json.dumps({"error": str(error)}))
        continue
    height, width = photo.shape[:2]
    data = base64.b64encode(photo.tobytes()).decode()
    print(json.dumps({"width": width, "height": height, "data": data}))`;
  return python(script, JSON.stringify(photos.map((photo) => photo.toString("base64"))))
    .toString()
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line))
    .map(({ error, width, height, data }) =>
      error === undefined ? { width, height, data: Buffer.from(data, "base64") } : error,
    );
}

/** The mean and largest difference from the service's pixels. */
function difference(got: Buffer | Uint8Array, want: Buffer): { mean: number; most: number } {
  assert.equal(got.length, want.length);
  let [sum, most] = [0, 0];
  for (const [i, value] of want.entries()) {
    const off = Math.abs(got[i]! - value);
    sum += off;
    most = Math.max(most, off);
  }
  return { mean: sum / want.length, most };
}

test("photos that the service decodes give the same pixels, or are left to it", async () => {
  const good = files("good");
  const wanted = service(Object.values(good));
  for (const [index, [name, file]] of Object.entries(good).entries()) {
    const want = wanted[index]!;
    assert.ok(typeof want !== "string", `${name}: ${want}`);
    if (name.startsWith("heic")) {
      await assert.rejects(decoded(file), (error) => {
        assert.match((error as Error).message, /HEIC photos can't be decoded here.*HEVC/);
        return error instanceof UnavailableError; // not InvalidImageError: the photo is fine
      });
      continue;
    }
    const got = await decoded(file);
    assert.deepEqual([got.width, got.height], [want.width, want.height], name);
    const { mean, most } = difference(got.data, want.data);
    // AV1 decoders upsample colors differently, and libvips converts CMYK differently.
    if (name.startsWith("avif")) assert.ok(mean < 1, `${name}: ${mean}`);
    else if (name.includes("cmyk")) assert.ok(mean < 30, `${name}: ${mean}`);
    else assert.ok(most <= 1, `${name}: ${most}`);
  }
});

const ORDINARY = /^the (\w+ )?image is corrupt or truncated/;
/** Random bits that sharp's decoder still accepts as a picture. */
const UNSEEN = ["damaged jpeg cmyk entropy data"];

test("photos that the service refuses are refused with the same messages", async () => {
  const bad = Object.entries(files("bad")).filter(([name]) => !UNSEEN.includes(name));
  const reasons = service(bad.map(([, file]) => file));
  for (const [index, [name, file]] of bad.entries()) {
    const reason = reasons[index] as string;
    if (name.includes("heic") && ORDINARY.test(reason)) continue; // only a HEIC decoder notices
    await assert.rejects(decoded(file), (error) => {
      assert.ok(error instanceof InvalidImageError, `${name}: ${error}`);
      assert.equal(error.code, "invalid_image");
      if (ORDINARY.test(reason)) assert.match(error.message, ORDINARY, name);
      else assert.equal(error.message, reason, name);
      return true;
    });
  }
});

test("each limit applies to its kind of photo, and messages name it", async () => {
  const png = await sharp(photo).png().toBuffer();
  const text = Buffer.from(photo.toString("base64"));
  const cases: [Buffer, object, RegExp | null][] = [
    [photo, { maxImageBytes: 1000 }, /has \d+ bytes; at most 1000 are .*MAX_IMAGE_BYTES/],
    [
      text,
      { maxBase64Bytes: 1000 },
      /1000 are allowed as base64.* in binary, with at most 10000000/,
    ],
    [text, { maxBase64Bytes: 2000, maxImageBytes: 1000 }, /at most 1000 .*MAX_IMAGE_BYTES/],
    [photo, { maxBase64Bytes: 1000 }, null],
    [photo, { maxJpegPixels: 1000 }, /512x512 = 262144 pixels; at most 1000 .*MAX_JPEG_PIXELS/],
    [png, { maxImagePixels: 1000 }, /512x512 = 262144 pixels; at most 1000 .*MAX_IMAGE_PIXELS/],
    [photo, { maxImagePixels: 1000 }, null],
    [png, { maxJpegPixels: 1000 }, null],
  ];
  for (const [file, limits, message] of cases) {
    if (message) await assert.rejects(decoded(file, limits), { message, code: "invalid_image" });
    else assert.equal((await decoded(file, limits)).width, 512);
  }
});

test("a JPEG may lack its end marker, but nothing more", async () => {
  for (const file of [
    photo,
    await sharp(photo).jpeg({ progressive: true }).toBuffer(),
    await sharp(photo).jpeg({ chromaSubsampling: "4:4:4" }).toBuffer(),
    await sharp(photo).resize(300, 203, { fit: "fill" }).jpeg().toBuffer(),
    await sharp(photo).grayscale().jpeg().toBuffer(),
  ]) {
    assert.deepEqual(await decoded(file.subarray(0, -2)), await decoded(file));
    for (const less of [3, 4, 100, file.length / 2]) {
      const cut = file.subarray(0, -less);
      await assert.rejects(decoded(cut), { message: ORDINARY }, `${less} bytes less`);
    }
  }
});

test("a truncated JPEG is damaged, even with an end marker appended", async () => {
  const half = Buffer.concat([photo.subarray(0, photo.length / 2), Buffer.from([0xff, 0xd9])]);
  await assert.rejects(decoded(half), { message: ORDINARY });
});

test("EXIF rotates a PNG wherever the chunk is, and never rotates an AVIF twice", async () => {
  const base = sharp(photo).resize(90, 60, { fit: "fill" });
  const png = await base.clone().withMetadata({ orientation: 6 }).png().toBuffer();
  const want = await decoded(png);
  assert.deepEqual([want.width, want.height], [60, 90]);
  const at = png.indexOf("eXIf") - 4;
  const end = at + 12 + png.readUInt32BE(at);
  const exif = png.subarray(at, end);
  const without = Buffer.concat([png.subarray(0, at), png.subarray(end)]);
  const behind = Buffer.concat([without.subarray(0, -12), exif, without.subarray(-12)]);
  assert.deepEqual(await decoded(behind), want);
  const avif = await base.clone().withMetadata({ orientation: 6 }).avif().toBuffer();
  const turned = await decoded(avif);
  assert.deepEqual([turned.width, turned.height], [60, 90]);
  const straight = Buffer.from(avif);
  straight[straight.indexOf("irot") + 4] = 0; // now only its EXIF has the rotation
  const stored = await decoded(straight);
  assert.deepEqual([stored.width, stored.height], [90, 60]);
});

test("a PNG with the letters acTL in its pixels is not animated", async () => {
  const pixels = Buffer.alloc(60 * 60 * 3, "acTL\xff\0\0");
  const raw = { raw: { width: 60, height: 60, channels: 3 as const } };
  const png = await sharp(pixels, raw).png({ compressionLevel: 0 }).toBuffer();
  assert.ok(png.includes("acTL"));
  assert.equal((await decoded(png)).width, 60);
});

test("messages name other containers and image sequences", async () => {
  const box = (name: string, content: string) => {
    const size = Buffer.alloc(4);
    size.writeUInt32BE(8 + content.length);
    return Buffer.concat([size, Buffer.from(name + content, "latin1")]);
  };
  const rest = Buffer.concat([box("meta", "\0".repeat(40)), box("mdat", "\0".repeat(40))]);
  for (const [brands, message] of [
    ["avis\0\0\0\0avifmif1", /is a sequence \(AVIF\); send the one frame/],
    ["hevc\0\0\0\0mif1heic", /is a sequence \(HEIC\); send the one frame/],
    ["isom\0\0\0\0mp42", /files of the kind 'isom' are not supported/],
    ["heic\0\0\0\0mif1", /corrupt or truncated \(its HEIF header\)/],
  ] as const) {
    const file = Buffer.concat([box("ftyp", brands), rest]);
    await assert.rejects(decoded(file), { message, code: "invalid_image" });
  }
});
