/** Quality assessment of the local fallback, compared with the service's own code. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import sharp, { type Sharp } from "sharp";
import { wireName } from "../src/contract.js";
import { QUALITY_PARTS, type QualityPart, type QualityParts } from "../src/index.js";
import { align } from "../src/local/align.js";
import type { Candidate, Rotation } from "../src/local/faces.js";
import type { Photo } from "../src/local/photo.js";
import { gateOf, lowQuality, qualityOf } from "../src/local/quality/assess.js";
import { partsOf } from "../src/local/quality/parts.js";
import { CENTRE, EMBEDDER } from "../src/local/quality/weights.js";
import { ASTRONAUT, python } from "./support.js";

const photo = readFileSync(ASTRONAUT);
const HER: Candidate = {
  box: [170, 60, 110, 150],
  landmarks: [202, 114, 247, 110, 225, 145, 206, 165, 247, 160],
  score: 0.9,
};

interface Case {
  crop: Photo;
  face: Candidate;
  rotation: Rotation;
  embedding: Float32Array;
  norm: number;
  embedder: string;
}
const SIZE = { width: 512, height: 512 };

async function pixels(image: Sharp): Promise<Photo> {
  const { data, info } = await image.raw().toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, data };
}

/** Reproducible numbers from 0 to 1. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1664525 + 1013904223) % 2 ** 32;
    return state / 2 ** 32;
  };
}

function vectorAt(cosine: number): Float32Array {
  const random = generator(7);
  const other = CENTRE.map(() => random() - 0.5);
  const along = other.reduce((sum, value, i) => sum + value * CENTRE[i]!, 0);
  const across = other.map((value, i) => value - along * CENTRE[i]!);
  const length = Math.hypot(...across);
  const height = Math.sqrt(1 - cosine ** 2) / length;
  return across.map((value, i) => cosine * CENTRE[i]! + height * value);
}

async function cases(): Promise<Record<string, Case>> {
  const noise = (level: number): Buffer => {
    const random = generator(3);
    const tones = () => 128 + level * (random() + random() + random() - 1.5);
    return Buffer.from(Array.from({ length: 512 * 512 * 3 }, tones));
  };
  const raw = { raw: { ...SIZE, channels: 3 as const } };
  const noisy = (level: number) =>
    sharp(photo)
      .composite([{ input: noise(level), ...raw, blend: "overlay" }])
      .removeAlpha();
  const images: Record<string, Sharp> = {
    "as it is": sharp(photo),
    blurred: sharp(photo).blur(4),
    "hardly blurred": sharp(photo).blur(1.2),
    dark: sharp(photo).linear(0.1, 0),
    bright: sharp(photo).linear(3, 40),
    pale: sharp(photo).linear(0.05, 120),
    noisy: noisy(80),
    "very noisy": noisy(255),
    mirrored: sharp(photo).flop(),
    gray: sharp({ create: { ...SIZE, channels: 3, background: "#808080" } }),
    black: sharp({ create: { ...SIZE, channels: 3, background: "#000" } }),
  };
  const found: Record<string, Case> = {};
  const add = (name: string, image: Photo, face: Candidate, more: Partial<Case> = {}) => {
    const seen = { embedding: vectorAt(-0.1), norm: 20, embedder: EMBEDDER, ...more };
    found[name] = { crop: align(image, face), face, rotation: 0, ...seen };
  };
  for (const [name, image] of Object.entries(images)) add(name, await pixels(image), HER);
  const image = await pixels(sharp(photo));
  const moved = (change: (at: number, i: number) => number): Candidate => ({
    ...HER,
    landmarks: HER.landmarks.map(change),
  });
  add(
    "seen from its left",
    image,
    moved((at, i) => (i === 4 ? at + 20 : at)),
  );
  add(
    "leaning",
    image,
    moved((at, i) => (i % 2 ? at + (HER.landmarks[i - 1]! - 225) * 0.7 : at)),
  );
  add(
    "upside down",
    image,
    moved((at) => 450 - at),
    { rotation: 180 },
  );
  add(
    "on its side",
    image,
    moved((_, i) => HER.landmarks[i ^ 1]!),
    { rotation: 90 },
  );
  add(
    "small",
    image,
    moved((at) => 100 + at / 10),
  );
  add(
    "in one point",
    image,
    moved(() => 140),
  );
  add(
    "with landmarks anywhere",
    image,
    moved((at, i) => at + ((i * 37) % 50) - 25),
  );
  add("cut by the border", image, { ...HER, box: [-60, 400, 200, 300] });
  add("like no one", image, HER, { embedding: vectorAt(0.6) });
  add("of another embedder", image, HER, { embedder: "other@1" });
  return found;
}

interface Assessment {
  parts: number[];
  quality: number;
  gate: number[];
  weakest: number;
}

/** The service's assessment of each case. */
function service(all: Case[]): Assessment[] {
  const script = `
import base64, json, sys
import numpy as np
from aurum.quality.gate import gate
from aurum.quality.parts import as_upright, quality, quality_parts, weakest
for case in json.load(sys.stdin):
    crops = np.frombuffer(base64.b64decode(case["crop"]), np.uint8).reshape(1, 112, 112, 3)
    floats = {name: np.array([case[name]], np.float32) for name in ("box", "landmarks", "score", "norm", "embedding")}
    parts = quality_parts(
        (512, 512), crops, floats["box"], floats["landmarks"].reshape(1, 5, 2), floats["score"],
        floats["norm"], floats["embedding"], case["embedder"],
    )
    upright = as_upright(parts, np.array([case["rotation"]], np.int32))
    print(json.dumps({
        "parts": parts[0].tolist(),
        "quality": float(quality(upright, case["embedder"])[0]),
        "gate": gate(parts, case["embedder"]).tolist(),
        "weakest": int(weakest(upright, case["embedder"])[0]),
    }))`;
  const asked = all.map(({ crop, face, embedding, ...rest }) => ({
    ...face,
    ...rest,
    crop: Buffer.from(crop.data).toString("base64"),
    embedding: Array.from(embedding),
  }));
  const lines = python(script, JSON.stringify(asked)).toString().trim().split("\n");
  return lines.map((line) => JSON.parse(line));
}

test("parts, quality and gate equal the service's", async () => {
  const all = await cases();
  const wanted = service(Object.values(all));
  const gates = new Set<string>();
  for (const [index, [name, seen]] of Object.entries(all).entries()) {
    const want = wanted[index]!;
    const { rotation, embedder } = seen;
    const parts = partsOf({ ...seen, confidence: seen.face.score }, SIZE, embedder);
    for (const [column, part] of QUALITY_PARTS.entries()) {
      const [got, expected] = [parts[part], want.parts[column]!];
      const allowed = 1e-4 * Math.max(1, Math.abs(expected));
      assert.ok(Math.abs(got - expected) <= allowed, `${name}: ${part} ${got}, not ${expected}`);
    }
    const quality = qualityOf(parts, rotation, embedder);
    assert.ok(Math.abs(quality - want.quality) < 1e-5, `${name}: ${quality}, not ${want.quality}`);
    const gate = gateOf(parts, embedder);
    assert.deepEqual(gate === null ? [] : [gate], want.gate, name);
    gates.add(String(QUALITY_PARTS[gate ?? -1] ?? gate));
    const weakest = QUALITY_PARTS[want.weakest]!;
    const { message } = lowQuality(parts, quality, rotation, embedder, 0.5);
    const words = ` below min_quality=0.5; it is worst in ${wireName(weakest)} (`;
    assert.ok(message.includes(words), `${name}: ${message}, not ${weakest}`);
  }
  // The cases cover these defects, and a recognizable face.
  for (const gate of ["-1", "null", "sharpness", "resolution", "exposure", "recognizability"]) {
    assert.ok(gates.has(gate), `${gate} is not among ${[...gates]}`);
  }
});

test("the wire name of a part is in snake case", () => {
  const all: QualityPart[] = ["borderCut", "norm"];
  assert.deepEqual(all.map(wireName), ["border_cut", "norm"]);
  const parts = Object.fromEntries(QUALITY_PARTS.map((name) => [name, 0])) as QualityParts;
  const error = lowQuality({ ...parts, borderCut: 1 }, 0.123, 0, EMBEDDER, 0.25);
  assert.equal(error.code, "low_quality");
  assert.match(
    error.message,
    /^the face's quality is 0.12, below min_quality=0.25; it is worst in /,
  );
});
