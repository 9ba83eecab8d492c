/** From a job to the record of a face that the app knows. */

import { createHash } from "node:crypto";
import type { FaceClient } from "../client.js";
import type { Source } from "../contract.js";
import { BYTE_LIMITS, type ByteLimits } from "../encoded/text.js";
import { NoFaceError } from "../errors.js";
import type { Box, QualityPart } from "../results.js";
import { type FaceJob, imageOf } from "./job.js";

/** The largest face of the photo. */
export interface FaceScore {
  /** 512 numbers of length 1. */
  embedding: number[];
  /** How fit for recognition, 0 to 1. These are null unless the service answered. */
  quality: number | null;
  /** Whether `quality` is a probability, not only an order; false where it is null. */
  qualityCalibrated: boolean;
  /** Whether comparisons with it mean something; null where that is not told, too. */
  recognizable: boolean | null;
  /** The part of the quality that says why it is not recognizable; else null. */
  defect: QualityPart | null;
  /** 0 to 1. */
  frontality: number | null;
  /** -1 to 1. */
  symmetry: number | null;
  /** Pixels between the eyes. */
  resolution: number | null;
  /** The detector's score, 0 to 1. */
  confidence: number;
  /** The same for the same photo and embedder, whoever answered: 32 hexadecimal digits. */
  faceId: string;
  detectionData: {
    bbox: Box;
    landmarks: [x: number, y: number][];
    imageSize: [width: number, height: number];
    detector: string | null;
  };
  source: Source;
  simulated: boolean;
  /** The embedder: embeddings of two embedders can't be compared. */
  model: string;
}

/** @throws InvalidImageError, NoFaceError, and whatever the client throws. */
export async function scoreFace(
  client: FaceClient,
  job: FaceJob,
  options: {
    imageFolder?: string | undefined;
    requestId?: string | undefined;
    limits?: ByteLimits | undefined;
  } = {},
): Promise<FaceScore> {
  const image = await imageOf(job, options.imageFolder, options.limits ?? BYTE_LIMITS);
  const analysis = await client.analyze(image, { maxFaces: 1, requestId: options.requestId });
  const [face] = analysis.faces;
  const { embedder, detector } = analysis.models;
  if (!face?.embedding || !embedder) {
    throw new NoFaceError("there is no face in the photo", { code: "no_face" });
  }
  const parts = face.qualityParts;
  return {
    embedding: Array.from(face.embedding),
    quality: face.quality,
    qualityCalibrated: analysis.qualityCalibrated,
    recognizable: face.recognizable,
    defect: face.defect,
    frontality: parts?.frontality ?? null,
    symmetry: parts?.symmetry ?? null,
    resolution: parts?.resolution ?? null,
    confidence: face.score,
    // Not of the embedding, which differs in its last digits from rung to rung.
    faceId: createHash("sha256").update(image).update(embedder).digest("hex").slice(0, 32),
    detectionData: {
      bbox: face.bbox,
      landmarks: face.landmarks,
      imageSize: analysis.imageSize,
      detector,
    },
    source: analysis.source,
    simulated: analysis.simulated,
    model: embedder,
  };
}
