/** Comparison of embeddings: decisions, reasons and gates. */

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  Calibration,
  type CompareOptions,
  Comparison,
  Embedding,
  Face,
  QUALITY_PARTS,
  type QualityParts,
} from "../src/index.js";

const calibration = Calibration.fromRow([0.2, 0.3, 0.4, 20, -6, 0.5]);
const parts = (changed: Partial<QualityParts>) =>
  ({ ...Object.fromEntries(QUALITY_PARTS.map((name) => [name, 0.5])), ...changed }) as QualityParts;
const fit = { recognizable: true, qualityParts: parts({}) };
const blurred = {
  recognizable: false,
  defect: "sharpness",
  qualityParts: parts({ sharpness: 0.21234 }),
} as const;
const dark = {
  recognizable: false,
  defect: "exposure",
  qualityParts: parts({ exposure: 0.25 }),
} as const;

/** An embedding with this cosine to the one at 1. */
function at(cosine: number, face: Partial<Face> = {}, known: Calibration | null = calibration) {
  const vector = new Float32Array(512);
  vector.set([cosine, Math.sqrt(1 - cosine ** 2)]);
  const seen = { bbox: { x: 0, y: 0, width: 9, height: 9 }, landmarks: [], score: 0.9, ...face };
  return new Embedding({
    source: "triton",
    models: { detector: "d@1", embedder: "e@2" },
    imageSize: [9, 9],
    vector,
    face: new Face(seen),
    calibration: known,
  });
}

function compare(a: Embedding, b: Embedding, options: CompareOptions = {}) {
  const { decision, match, gated, reason } = Comparison.between(a, b, options);
  return { decision, match, gated, reason };
}

test("the false accept rate is 1e-4 unless another is asked for", () => {
  const certain = { gated: true, reason: null };
  const [one, near, far] = [at(1, fit), at(0.45, fit), at(0.35, fit)];
  assert.equal(Comparison.between(one, near).far, 1e-4);
  assert.equal(Comparison.between(one, near).threshold, calibration.threshold(1e-4));
  assert.deepEqual(compare(one, near), { decision: "match", match: true, ...certain });
  assert.deepEqual(compare(one, far), { decision: "no match", match: false, ...certain });
  assert.deepEqual(compare(one, far, { far: 1e-3 }), {
    decision: "match",
    match: true,
    ...certain,
  });
});

test("an unrecognizable face never matches, not even itself", () => {
  const undecided = { decision: "not recognizable", match: null, gated: true };
  const first = "first photo: sharpness 0.212";
  const second = "second photo: exposure 0.25";
  assert.deepEqual(compare(at(1, blurred), at(1, fit)), { ...undecided, reason: first });
  assert.deepEqual(compare(at(1, fit), at(1, dark)), { ...undecided, reason: second });
  const reason = `${first}; ${second}`;
  assert.deepEqual(compare(at(1, blurred), at(1, dark)), { ...undecided, reason });
  const poor = Comparison.between(at(1, blurred), at(0.5, fit));
  assert.equal(poor.probability, null);
  assert.equal(poor.threshold, calibration.threshold(1e-4));
  assert.ok(Math.abs(poor.similarity - 0.5) < 1e-6);
});

test("an embedding stored without its gate can be compared, and the result is not gated", () => {
  const ungated = { gated: false, reason: null };
  assert.deepEqual(compare(at(1), at(1, fit)), { decision: "match", match: true, ...ungated });
  assert.deepEqual(compare(at(1), at(0)), { decision: "no match", match: false, ...ungated });
  // One unrecognizable face is enough.
  const reason = "second photo: reason unknown";
  assert.deepEqual(compare(at(1), at(1, { recognizable: false })), {
    decision: "not recognizable",
    match: null,
    gated: false,
    reason,
  });
  const nameless = compare(at(1, { recognizable: false, defect: "noise" }), at(1, fit));
  assert.equal(nameless.reason, "first photo: noise");
});

test("without a calibration the only decision is that a face is not recognizable", () => {
  const unknown = { decision: "uncalibrated", match: null, gated: true, reason: null };
  assert.deepEqual(compare(at(1, fit, null), at(1, fit)), unknown);
  assert.equal(compare(at(1, fit, null), at(1, dark)).decision, "not recognizable");
  const { threshold, probability } = Comparison.between(at(1, fit, null), at(1, fit));
  assert.deepEqual([threshold, probability], [null, null]);
});

test("a comparison as JSON has its decision and the assessment of each face", () => {
  const json = JSON.parse(JSON.stringify(Comparison.between(at(1, blurred), at(1))));
  assert.equal(json.decision, "not recognizable");
  assert.equal(json.reason, "first photo: sharpness 0.212");
  assert.equal(json.gated, false);
  assert.equal(json.match, null);
  assert.equal(json.a.qualityCalibrated, true);
  assert.deepEqual([json.a.face.recognizable, json.a.face.defect], [false, "sharpness"]);
  assert.equal(json.b.qualityCalibrated, false);
  assert.deepEqual([json.b.face.recognizable, json.b.face.defect], [null, null]);
});
