/** Embeddings and quality of faces, like aurum/pipeline/assessment.py. */

import { EMBEDDING_SIZE } from "../contract.js";
import type { QualityParts } from "../results.js";
import { align } from "./align.js";
import type { DetectedFace } from "./faces.js";
import type { Graphs } from "./graphs.js";
import type { Photo } from "./photo.js";
import { gateOf, lowQuality, qualityOf } from "./quality/assess.js";
import { partsOf } from "./quality/parts.js";

export interface Embeddings {
  faces: Embedded[];
  /** Its id; empty if there was no face. */
  embedder: string;
  /** CALIBRATION_SIZE numbers, or none. */
  calibration: Float32Array;
}

interface Embedded {
  face: DetectedFace;
  embedding: Float32Array;
  quality: number;
  parts: QualityParts;
  /** Null for embedders without a gate. */
  gate: number | null;
}

/** Embed each face and assess it. @param aligned whether the photo is the crop of its only face */
export async function embed(
  graphs: Graphs,
  photo: Photo,
  faces: DetectedFace[],
  aligned: boolean,
): Promise<Embeddings> {
  if (faces.length === 0) return { faces: [], embedder: "", calibration: new Float32Array() };
  const crops = faces.map((face) => (aligned ? photo : align(photo, face)));
  const { embeddings, norms, embedder, calibration } = await graphs.embed(crops);
  const assessed = faces.map((face, i): Embedded => {
    const embedding = embeddings.subarray(i * EMBEDDING_SIZE, (i + 1) * EMBEDDING_SIZE);
    // An aligned crop has no detection score.
    const confidence = aligned ? face.fit : face.score;
    const features = { face, confidence, crop: crops[i]!, embedding, norm: norms[i]! };
    const parts = partsOf(features, photo, embedder);
    const quality = qualityOf(parts, face.rotation, embedder);
    return { face, embedding, quality, parts, gate: gateOf(parts, embedder) };
  });
  return { faces: assessed, embedder, calibration };
}

/** Keep only faces of at least this quality. */
export function filterByQuality(embeddings: Embeddings, least: number): Embeddings {
  const faces = embeddings.faces.filter(({ quality }) => isAtLeast(quality, least));
  return { ...embeddings, faces };
}

/** @throws LowQualityError: a face has a lower quality. */
export function requireQuality(embeddings: Embeddings, least: number): Embeddings {
  for (const { face, quality, parts } of embeddings.faces) {
    if (isAtLeast(quality, least)) continue;
    throw lowQuality(parts, quality, face.rotation, embeddings.embedder, least);
  }
  return embeddings;
}

function isAtLeast(quality: number, least: number): boolean {
  return quality >= Math.fround(least); // qualities are float32
}
