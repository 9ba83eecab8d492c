/** The wire contract, from the asking side: the pipelines' names and the request parameters. */

import { InvalidRequestError } from "./errors.js";

export type Pipeline = "detect_faces" | "embed_face" | "analyze_faces";
export const DETECTOR = "face_detection";
export const EMBEDDER = "face_embedding";
export const PUBLIC_MODELS = [
  DETECTOR,
  EMBEDDER,
  "detect_faces",
  "embed_face",
  "analyze_faces",
] as const;

export const LANDMARKS = 5;
export const EMBEDDING_SIZE = 512;
/** Numbers of a calibration. */
export const CALIBRATED = 6;

/** Who answered: the service, its graphs in this process, or nobody (made up). */
export type Source = "triton" | "local" | "simulated";

/** What decides which faces are found; what is left out, the server chooses. */
export interface FaceOptions {
  /** The least score of a face, 0 to 1. */
  minConfidence?: number | undefined;
  /** At most this many, the largest; 0 for all. */
  maxFaces?: number | undefined;
  /** The long side in pixels that the photo is shrunk to for detection, a multiple of 32. */
  detectionSize?: number | undefined;
  /** `embed` alone: the image is a 112x112 crop, aligned to the ArcFace template. */
  aligned?: boolean | undefined;
}

export type Parameters = Record<string, number | boolean>;

/** Wire names of the options; values must be numbers of their kind, the ranges are the server's. */
export function buildParameters(options: FaceOptions): Parameters {
  const parameters: Parameters = {};
  const { minConfidence, maxFaces, detectionSize, aligned } = options;
  if (minConfidence !== undefined) {
    parameters.min_confidence = finite("minConfidence", minConfidence);
  }
  if (maxFaces !== undefined) parameters.max_faces = whole("maxFaces", maxFaces);
  if (detectionSize !== undefined) {
    parameters.detection_size = whole("detectionSize", detectionSize);
  }
  if (aligned) parameters.aligned = true;
  return parameters;
}

function finite(name: string, value: number): number {
  if (!Number.isFinite(value)) {
    throw new InvalidRequestError(`${name}=${value}: must be a number`, {
      code: "invalid_parameter",
    });
  }
  return value;
}

function whole(name: string, value: number): number {
  if (!Number.isSafeInteger(value)) {
    throw new InvalidRequestError(`${name}=${value}: must be a whole number`, {
      code: "invalid_parameter",
    });
  }
  return value;
}
