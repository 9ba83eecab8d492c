/** All parts of a face's quality, like aurum/quality/parts.py, which explains each. */

import { dot } from "../../comparison.js";
import { ALIGNED_SIZE } from "../../contract.js";
import type { QualityParts } from "../../results.js";
import { TEMPLATE } from "../align.js";
import type { Candidate } from "../faces.js";
import type { Photo } from "../photo.js";
import { contrast, exposure, grayOf, noise, sharpness } from "./pixels.js";
import { anglesOf, residual, rotationOf } from "./pose.js";
import { smallFace, symmetry, visibility } from "./small.js";
import { CENTRE, EMBEDDER } from "./weights.js";

/** Larger than any photo. */
const FAR = 1e6;
const EYES = distance(TEMPLATE);

/** A face, its aligned crop, and the embedder's output for it. */
export interface FaceFeatures {
  face: Pick<Candidate, "box" | "landmarks">;
  confidence: number;
  crop: Photo;
  embedding: Float32Array;
  /** The embedding's length before normalization. */
  norm: number;
}

/**
 * Compute the parts of a face; they are finite and rounded to float32, like on the wire.
 *
 * @param size the size of the upright photo
 */
export function partsOf(
  { face, confidence, crop, embedding, norm }: FaceFeatures,
  size: Pick<Photo, "width" | "height">,
  embedder: string,
): QualityParts {
  // The service computes with float32, too.
  const landmarks = face.landmarks.map((at) => bounded(Math.fround(at)));
  const box = face.box.map((at) => bounded(Math.fround(at))) as Candidate["box"];
  const gray = grayOf(crop);
  const small = smallFace(gray);
  const rotation = rotationOf(landmarks);
  const [yaw, pitch, roll] = anglesOf(rotation);
  const resolution = distance(landmarks);
  const parts: QualityParts = {
    resolution,
    sharpness: sharpness(gray),
    noise: noise(gray),
    exposure: exposure(gray),
    contrast: contrast(gray),
    yaw,
    pitch,
    roll,
    frontality: bounded(rotation[2][2], 0, 1),
    symmetry: symmetry(small),
    visibility: visibility(small),
    misfit: Math.min((residual(landmarks) * EYES) / Math.max(resolution, 1e-3), ALIGNED_SIZE),
    borderCut: borderCut(box, size),
    confidence,
    norm,
    recognizability: embedder === EMBEDDER ? 1 - dot(embedding, CENTRE) : 0,
  };
  const settled = Object.entries(parts).map(([name, value]) => [name, Math.fround(bounded(value))]);
  return Object.fromEntries(settled) as QualityParts;
}

/** The distance between the eyes. */
function distance(landmarks: readonly number[]): number {
  return Math.hypot(landmarks[2]! - landmarks[0]!, landmarks[3]! - landmarks[1]!);
}

/** The share of the box's area that lies outside the photo. */
function borderCut(
  [x, y, width, height]: Candidate["box"],
  size: Pick<Photo, "width" | "height">,
): number {
  const across = Math.max(Math.min(x + width, size.width) - Math.max(x, 0), 0);
  const down = Math.max(Math.min(y + height, size.height) - Math.max(y, 0), 0);
  return bounded(1 - (across * down) / Math.max(width * height, 1e-6), 0, 1);
}

function bounded(value: number, least = -FAR, most = FAR): number {
  return Number.isNaN(value) ? least : Math.min(Math.max(value, least), most);
}
