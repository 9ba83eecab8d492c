/** The fitted weights of the quality formulas, like aurum/quality/weights.py. */

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type QualityPart, wireName } from "../../contract.js";

/** A logistic model of n standardized features and their squares. */
export interface Model {
  mean: number[];
  spread: number[];
  /** Weights of the features, then of their squares. */
  weights: number[];
  bias: number;
}

interface Content {
  mean_face: string;
  embedder: string;
  centre: string;
  of_embedder: Model;
  of_any: Model;
  gate: Record<string, [least: number | null, most: number | null]>;
}

/** The package has a copy (see scripts/weights.mjs); tests read the service's own file. */
const COPY = join(__dirname, "weights.json");
const OWN = join(__dirname, "../../../../../../aurum/quality/weights.json");

const content = JSON.parse(readFileSync(existsSync(COPY) ? COPY : OWN, "utf8")) as Content;

/** The id of the embedder that the gate and one of the models belong to. */
export const EMBEDDER = content.embedder;
/** The mean aligned face at a quarter of the crop's size, gray levels. */
export const MEAN_FACE = Buffer.from(content.mean_face, "base64");
/** The mean direction of embeddings of unrecognizable faces. */
export const CENTRE = unit(halves(Buffer.from(content.centre, "base64")));

export function modelOf(embedder: string): Model {
  return embedder === EMBEDDER ? content.of_embedder : content.of_any;
}

/** The range of a part within which a face is recognizable. */
export function rangeOf(part: QualityPart): [least: number, most: number] {
  const [least, most] = content.gate[wireName(part)] ?? [null, null];
  return [least ?? Number.NEGATIVE_INFINITY, most ?? Number.POSITIVE_INFINITY];
}

/** Decode little-endian IEEE 754 half-precision numbers. */
function halves(data: Buffer): Float32Array {
  return Float32Array.from({ length: data.length / 2 }, (_, i) => {
    const bits = data.readUInt16LE(2 * i);
    const [sign, exponent, fraction] = [bits >> 15, (bits >> 10) & 31, bits & 1023];
    const size =
      exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15);
    return sign ? -size : size;
  });
}

function unit(vector: Float32Array): Float32Array {
  const length = Math.hypot(...vector);
  return vector.map((value) => value / length);
}
