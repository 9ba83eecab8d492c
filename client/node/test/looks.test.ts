/** Detection passes and face selection of the local fallback, compared with the service's. */

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  bestRotations,
  type Candidate,
  type DetectedFace,
  guaranteed,
  isComplete,
  largestFirst,
  type Rotation,
  selectFaces,
  withoutFragments,
} from "../src/local/faces.js";
import { look, Picture, rotate } from "../src/local/look.js";
import { Looks } from "../src/local/looks.js";
import type { Photo } from "../src/local/photo.js";
import { plan, type View } from "../src/local/views.js";
import type { CheckedOptions } from "../src/options.js";
import { python } from "./support.js";

/** The result of a Python script for `given`, both as JSON. */
function service<T>(script: string, given: unknown): T {
  const whole = `
import json, sys, numpy as np
from aurum.imaging import faces, views
given = json.load(sys.stdin)
def columns(rows, kind):
    floats = lambda name, *shape: np.array([row[name] for row in rows], np.float32).reshape(-1, *shape)
    table = faces.Candidates(floats("box", 4), floats("landmarks", 5, 2), floats("score"))
    if kind is faces.Candidates: return table
    rotations = np.array([row["rotation"] for row in rows], np.int32)
    return faces.Faces(*table, rotations, floats("fit"))
def rows(table):
    return [dict(box=b.tolist(), landmarks=l.ravel().tolist(), score=float(s), rotation=int(r), fit=float(f))
            for b, l, s, r, f in zip(*table)]
${script}
print(json.dumps(result))`;
  return JSON.parse(python(whole, JSON.stringify(given)).toString());
}

/** Reproducible uniform numbers from 0 to 1 (Lehmer 1951). */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
}

/** Boxes of many sizes, with landmarks scattered around those of a face. */
function crowd(count: number, seed: number): DetectedFace[] {
  const random = numbers(seed);
  const turns: Rotation[] = [0, 90, 180, 270];
  return Array.from({ length: count }, () => {
    const side = 20 * 2 ** (5 * random());
    const at = () => Math.fround(Math.floor(4 * random()) * 150 + 40 * random());
    const [x, y, width, height] = [at(), at(), Math.fround(side), Math.fround(side * 1.3)];
    const [score, fit] = [Math.fround(random()), Math.fround(random())];
    const landmarks = [0.3, 0.4, 0.7, 0.4, 0.5, 0.6, 0.35, 0.8, 0.65, 0.8].map((share, i) =>
      Math.fround((i % 2 ? y : x) + (share + 0.1 * random()) * (i % 2 ? height : width)),
    );
    const rotation = turns[Math.floor(4 * random())]!;
    return { box: [x, y, width, height], landmarks, score, fit, rotation };
  });
}

function alike(got: Partial<DetectedFace>[], want: DetectedFace[]) {
  assert.ok(want.length > 0);
  assert.equal(got.length, want.length);
  for (const [i, { box, landmarks, score }] of want.entries()) {
    const numbers = [...box, ...landmarks, score];
    for (const [j, value] of [...got[i]!.box!, ...got[i]!.landmarks!, got[i]!.score!].entries()) {
      assert.ok(Math.abs(value - numbers[j]!) < 1e-3, `${i} ${value} ${numbers[j]}`);
    }
  }
}

test("the passes over photos of any shape equal the service's", () => {
  const sizes = [
    ...[1, 31, 200, 320, 512, 513, 641, 900, 1400, 1409, 3000, 8000].map((side) => [side, side]),
    ...[
      [4000, 3000],
      [1000, 300],
      [300, 1000],
      [10000, 40],
      [20000, 3000],
      [33, 20],
      [2501, 1000],
      [1920, 1080],
    ],
  ];
  const cases = sizes.flatMap(([width, height]) =>
    [32, 160, 320, 640, 1280, 1440, 2560].flatMap((size) =>
      [0, 1, 2, 3, 5, 9, 16].map((tiles) => [width!, height!, size, tiles] as const),
    ),
  );
  const script = `
def listed(planned):
    return [planned.complete, [[list(view) for view in level] for level in planned.levels], planned.work]
result = []
for width, height, size, tiles in given:
    planned = views.plan((width, height), size, tiles)
    result.append([listed(planned), listed(planned.turned(90, 0.5)), listed(planned.turned(270, 1.0))])`;
  const want = service<unknown[]>(script, cases);
  const view = ({ place: { left, top, right, bottom }, longSide, rotation }: View) => {
    return [left, top, right, bottom, longSide, rotation];
  };
  for (const [i, one] of cases.entries()) {
    const planned = plan(...one);
    const got = [planned, planned.rotated(90, 0.5), planned.rotated(270, 1)].map(
      ({ complete, levels, work }) => [complete, levels.map((level) => level.map(view)), work],
    );
    assert.deepEqual(got, want[i], String(one));
  }
});

test("selected faces and their averaged landmarks equal the service's", () => {
  const candidates = crowd(400, 1).sort((a, b) => b.score - a.score);
  const script = `
chosen = faces.select_faces(columns(given, faces.Candidates), np.array([0.5, 0.4], np.float32), 0.3, 0.3)
result = rows(chosen)`;
  const scale = [0.5, 0.4].map(Math.fround) as [number, number];
  const got = selectFaces(candidates, scale, 0.3, 0.3) as DetectedFace[];
  alike(largestFirst(got), service(script, candidates));
});

test("removal of fragments and of repeated faces in other rotations equals the service's", () => {
  const [fine, whole] = [crowd(200, 2), crowd(50, 3)];
  const fragments = `
result = rows(faces.without_fragments(*(columns(part, faces.Faces) for part in given), 200))`;
  const kept = withoutFragments(fine, whole, 200);
  assert.ok(kept.length < fine.length);
  alike(kept, service(fragments, [fine, whole]));
  const readings = `
result = rows(faces.best_rotation_per_face(columns(given, faces.Faces), 0.3))`;
  const best = bestRotations(fine, 0.3);
  assert.ok(best.length < fine.length);
  alike(best, service(readings, fine));
});

test("a list has its guaranteed length, and is full if candidates may be missing", () => {
  const listed = (count: number, score: number): Candidate[] =>
    Array(count).fill({ box: [0, 0, 1, 1], landmarks: [], score });
  assert.equal(guaranteed(listed(1000, 0.05)).length, 256);
  assert.equal(guaranteed([...listed(300, 0.5), ...listed(9, 0.05)]).length, 301);
  assert.equal(isComplete(listed(255, 0.9), 0.6), true);
  assert.equal(isComplete(listed(256, 0.9), 0.6), false);
  assert.equal(isComplete(listed(256, 0.5), 0.6), true);
});

test("a photo is rotated clockwise, and its faces are rotated back", async () => {
  const photo = { width: 3, height: 2, data: Uint8Array.from({ length: 18 }, (_, i) => i / 3) };
  const reds = (image: Photo) => [...image.data].filter((_, i) => i % 3 === 0);
  const shapes = ([90, 180, 270] as const).map((turn) => rotate(photo, turn));
  assert.deepEqual(shapes.map(reds), [
    [3, 0, 4, 1, 5, 2],
    [5, 4, 3, 2, 1, 0],
    [2, 5, 1, 4, 0, 3],
  ]);
  assert.deepEqual(
    shapes.map(({ width }) => width),
    [2, 3, 2],
  );
  const black = { width: 400, height: 320, data: new Uint8Array(400 * 320 * 3) };
  const [whole] = plan(400, 320, 640, 0).levels[0]!;
  const face: Candidate = { box: [10, 20, 30, 40], landmarks: Array(10).fill(15), score: 1 };
  for (const [turn, box] of [
    [90, [20, 279, 40, 30]],
    [180, [359, 259, 30, 40]],
    [270, [339, 10, 40, 30]],
  ] as const) {
    const view = whole!.rotated(turn, 1);
    const [found] = await look(new Picture(black), view, async () => [face], 0.5, 0.3);
    assert.deepEqual(found!.box, box);
    assert.equal(found!.rotation, turn);
  }
});

test("a face cut by a tile is left to another tile", async () => {
  const black = { width: 1000, height: 500, data: new Uint8Array(1_500_000) };
  const tile = plan(1000, 500, 320, 2).levels[0]![0]!;
  assert.ok(tile.place.right < 1000);
  const face = (x: number): Candidate => ({
    box: [x, 5, 30, 30],
    landmarks: Array(10).fill(x),
    score: 1,
  });
  const found = await look(new Picture(black), tile, async () => [face(0), face(291)], 0.5, 0.3);
  assert.deepEqual(
    found.map(({ box }) => box[0]),
    [0],
  );
});

test("no photo exceeds the limit of work, whatever it shows", async () => {
  const options: CheckedOptions = {
    minConfidence: 0.6,
    maxFaces: 0,
    detectionSize: 640,
    orientation: "auto",
    refine: true,
    tiles: 0,
    minQuality: 0,
    aligned: false,
  };
  const black = { width: 1400, height: 1400, data: new Uint8Array(1400 * 1400 * 3) };
  let work = 0;
  let score = 0;
  const graphs = {
    async detect({ width, height }: { width: number; height: number }) {
      work += width * height;
      const face: Candidate = {
        box: [9, 9, 40, 50],
        landmarks: [9, 9, 40, 9, 25, 20, 9, 30, 40, 30],
        score,
      };
      return { candidates: [face], detector: "d@1", upright: 0.9 };
    },
    refine: async (crops: Photo[]) => crops.map(() => ({ landmarks: Array(10).fill(48), score })),
  };
  const cost = async (changed: Partial<CheckedOptions>) => {
    work = 0;
    await new Looks(black, { ...options, ...changed }, 0.3, graphs).faces();
    return work / 640 ** 2;
  };
  const averaged = 0.3 ** 2; // if no face is found
  assert.equal(await cost({ orientation: "exif" }), 1.25 + averaged);
  assert.equal(await cost({}), 2 + averaged); // three rotated passes at half the size
  score = 0.8; // a face in every pass, and none that is certainly upright
  assert.ok((await cost({})) <= 4);
  score = 0.95;
  assert.equal(await cost({}), 1.25);
});
