/** Scoring of one job: the result that the app gets. */

import { createHash } from "node:crypto";
import type { FaceClient } from "../client.js";
import { DEFAULTS, type QualityPart, type Source } from "../contract.js";
import type { ByteLimits } from "../encoded/text.js";
import { NoFaceError } from "../errors.js";
import type { Box, Face } from "../results.js";
import { type FaceJob, imageOf } from "./job.js";

/** The result of a job: the largest face of the photo. */
export interface FaceScore {
  /** A unit vector of 512 numbers. */
  embedding: number[];
  /** Suitability for recognition, 0 to 1; null in made-up answers. */
  quality: number | null;
  /** Whether `quality` is a probability, not only a ranking; false if it is null. */
  qualityCalibrated: boolean;
  /** Whether comparisons of this face are meaningful; null if unknown. */
  recognizable: boolean | null;
  /** The quality part that makes it unrecognizable; else null. */
  defect: QualityPart | null;
  /** See `Face`; both are absent if liveness isn't scored. */
  livenessScore?: number;
  isLive?: boolean;
  /** 0 to 1. */
  frontality: number | null;
  /** -1 to 1. */
  symmetry: number | null;
  /** Pixels between the eyes. */
  resolution: number | null;
  /** The detector's score, 0 to 1. */
  confidence: number;
  /** The same for the same photo and embedder, from any source: 32 hexadecimal digits. */
  faceId: string;
  detectionData: {
    bbox: Box;
    landmarks: [x: number, y: number][];
    imageSize: [width: number, height: number];
    detector: string | null;
  };
  source: Source;
  simulated: boolean;
  /** The embedder's id: embeddings from different embedders can't be compared. */
  model: string;
}

/** The fields that a result has only if liveness is scored. */
function liveness({ livenessScore, isLive }: Face): Pick<FaceScore, "livenessScore" | "isLive"> {
  return livenessScore === undefined ? {} : { livenessScore, isLive: isLive! };
}

/** Analyze a job's photo. @throws InvalidImageError, NoFaceError, and the client's errors. */
export async function scoreFace(
  client: FaceClient,
  job: FaceJob,
  options: {
    imageFolder?: string | undefined;
    requestId?: string | undefined;
    limits?: ByteLimits | undefined;
  } = {},
): Promise<FaceScore> {
  const image = await imageOf(job, options.imageFolder, options.limits ?? DEFAULTS);
  const analysis = await client.analyze(image, { maxFaces: 1, requestId: options.requestId });
  const [face] = analysis.faces;
  const { embedder, detector } = analysis.models;
  if (!face || !embedder) {
    throw new NoFaceError("there is no face in the photo", { code: "no_face" });
  }
  const parts = face.qualityParts;
  return {
    embedding: Array.from(face.embedding),
    quality: face.quality,
    qualityCalibrated: analysis.qualityCalibrated,
    recognizable: face.recognizable,
    defect: face.defect,
    ...liveness(face),
    frontality: parts?.frontality ?? null,
    symmetry: parts?.symmetry ?? null,
    resolution: parts?.resolution ?? null,
    confidence: face.score,
    // Not a hash of the embedding, whose last digits differ between sources.
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
