/** Faces to their embeddings, and what each is fit for, as aurum/pipeline/assessment.py. */

import { EMBEDDING_SIZE } from "../contract.js";
import type { QualityParts } from "../results.js";
import { align } from "./align.js";
import type { Found } from "./faces.js";
import type { Graphs } from "./graphs.js";
import type { Photo } from "./photo.js";
import { gateOf, lowQuality, qualityOf } from "./quality/judge.js";
import { partsOf } from "./quality/parts.js";

export interface Embeddings {
  faces: Embedded[];
  /** Empty where there was no face. */
  embedder: string;
  /** Six numbers, or none. */
  calibration: Float32Array;
}

interface Embedded {
  face: Found;
  embedding: Float32Array;
  quality: number;
  parts: QualityParts;
  /** Null for embedders of which no gate is known. */
  gate: number | null;
}

/** @param aligned whether the photo is the only face's crop already */
export async function embed(
  graphs: Graphs,
  photo: Photo,
  faces: Found[],
  aligned: boolean,
): Promise<Embeddings> {
  if (faces.length === 0) return { faces: [], embedder: "", calibration: new Float32Array() };
  const crops = faces.map((face) => (aligned ? photo : align(photo, face)));
  const { embeddings, norms, embedder, calibration } = await graphs.embed(crops);
  const judged = faces.map((face, i): Embedded => {
    const embedding = embeddings.subarray(i * EMBEDDING_SIZE, (i + 1) * EMBEDDING_SIZE);
    // The score of an aligned crop is the caller's word.
    const confidence = aligned ? face.fit : face.score;
    const seen = { face, confidence, crop: crops[i]!, embedding, norm: norms[i]! };
    const parts = partsOf(seen, photo, embedder);
    const quality = qualityOf(parts, face.rotation, embedder);
    return { face, embedding, quality, parts, gate: gateOf(parts, embedder) };
  });
  return { faces: judged, embedder, calibration };
}

/** Only the faces of at least that quality. */
export function fitOnes(embeddings: Embeddings, least: number): Embeddings {
  const faces = embeddings.faces.filter(({ quality }) => isFit(quality, least));
  return { ...embeddings, faces };
}

/** @throws LowQualityError: a face is not of that quality. */
export function allFit(embeddings: Embeddings, least: number): Embeddings {
  for (const { face, quality, parts } of embeddings.faces) {
    if (isFit(quality, least)) continue;
    throw lowQuality(parts, quality, face.rotation, embeddings.embedder, least);
  }
  return embeddings;
}

function isFit(quality: number, least: number): boolean {
  return quality >= Math.fround(least); // as exact as qualities are
}
