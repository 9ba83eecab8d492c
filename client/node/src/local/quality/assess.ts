/** Quality and gate of a face, like aurum/quality/parts.py and gate.py. */

import { QUALITY_PARTS, type QualityPart, RECOGNIZABLE, wireName } from "../../contract.js";
import { LowQualityError } from "../../errors.js";
import type { QualityParts } from "../../results.js";
import type { Rotation } from "../faces.js";
import { EMBEDDER, modelOf, rangeOf } from "./weights.js";

const LOGARITHMIC: readonly QualityPart[] = ["resolution", "noise", "contrast"];
const SIGNED: readonly QualityPart[] = ["yaw", "pitch", "roll"];
/** Parts where higher is worse. For the norm neither holds; for all others lower is worse. */
const WORSE: readonly QualityPart[] = ["noise", "yaw", "pitch", "roll", "misfit", "borderCut"];

/** Suitability for recognition, 0..1: a logistic model of standardized parts and their squares. */
export function qualityOf(parts: QualityParts, rotation: Rotation, embedder: string): number {
  const { mean, spread, weights, bias } = modelOf(embedder);
  const values = featuresOf(asUpright(parts, rotation));
  const logit = mean.reduce((sum, middle, i) => {
    const value = Math.min(Math.max((values[i]! - middle) / spread[i]!, -4), 4);
    return sum + weights[i]! * value + weights[mean.length + i]! * value ** 2;
  }, bias);
  return Math.fround(1 / (1 + Math.exp(-logit)));
}

/**
 * The column of the part that exceeds its range the most, in standard deviations, or RECOGNIZABLE;
 * null for embedders without known ranges.
 */
export function gateOf(parts: QualityParts, embedder: string): number | null {
  if (embedder !== EMBEDDER) return null;
  const { spread } = modelOf(embedder);
  const beyond = QUALITY_PARTS.map((name, i) => {
    const [least, most] = rangeOf(name).map((bound) => boundOf(name, bound));
    const value = featureOf(name, parts[name]);
    return Math.max(least! - value, value - most!) / spread[i]!;
  });
  const worst = Math.max(...beyond);
  return worst > 0 ? beyond.indexOf(worst) : RECOGNIZABLE;
}

/** The error for a face below the least quality; it names the face's worst part. */
export function lowQuality(
  parts: QualityParts,
  quality: number,
  rotation: Rotation,
  embedder: string,
  least: number,
): LowQualityError {
  const { mean, spread } = modelOf(embedder);
  const values = featuresOf(asUpright(parts, rotation));
  const bad = mean.map((middle, i) => {
    const name = QUALITY_PARTS[i]!;
    if (name === "norm") return 0;
    const away = (values[i]! - middle) / spread[i]!;
    return WORSE.includes(name) ? away : -away;
  });
  const part = QUALITY_PARTS[bad.indexOf(Math.max(...bad))]!;
  return new LowQualityError(
    `the face's quality is ${quality.toFixed(2)}, below min_quality=${least}; it is worst in ` +
      `${wireName(part)} (${Number(parts[part].toPrecision(3))})`,
    { code: "low_quality" },
  );
}

/** The parts after rotating the photo to make the face upright, which changes only `roll`. */
function asUpright(parts: QualityParts, rotation: Rotation): QualityParts {
  if (rotation === 0) return parts;
  const turned = (parts.roll + rotation + 180) % 360;
  return { ...parts, roll: (turned < 0 ? turned + 360 : turned) - 180 };
}

function boundOf(name: QualityPart, bound: number): number {
  return Number.isFinite(bound) ? featureOf(name, Math.fround(bound)) : bound;
}

function featuresOf(parts: QualityParts): number[] {
  return QUALITY_PARTS.map((name) => featureOf(name, parts[name]));
}

/** Transform a part for the models: logarithms of ratios, and no signs. */
function featureOf(name: QualityPart, value: number): number {
  if (LOGARITHMIC.includes(name)) return Math.log(Math.max(value, 1e-3));
  return SIGNED.includes(name) ? Math.abs(value) : value;
}
