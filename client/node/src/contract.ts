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
/** In `gate`, which else has the column of the quality part that says why not. */
export const RECOGNIZABLE = -1;

/** Who answered: the service, its graphs in this process, or nobody (made up). */
export type Source = "triton" | "local" | "simulated";

/** `auto`: a photo where no face is found, or none looks upright, is looked at turned, too. */
export const ORIENTATIONS = ["auto", "exif"] as const;
export type Orientation = (typeof ORIENTATIONS)[number];

/** What decides which faces are found; what is left out, the server chooses. */
export interface FaceOptions {
  /** The least score of a face, 0 to 1. */
  minConfidence?: number | undefined;
  /** At most this many, the largest; 0 for all. */
  maxFaces?: number | undefined;
  /** The long side, in pixels, of what the detector looks at: a multiple of 32. */
  detectionSize?: number | undefined;
  /** `exif`: the photo is upright as its EXIF says, and is not looked at turned. */
  orientation?: Orientation | undefined;
  /** Whether each face is looked at again, which makes its landmarks steadier. */
  refine?: boolean | undefined;
  /**
   * Look at so many parts of the photo, too, at most 16: finds smaller faces, and takes longer.
   * 0: only of a long photo; 1: never.
   */
  tiles?: number | undefined;
  /**
   * The least quality of a face, 0 to 1: `analyze` leaves out the others of its at most `maxFaces`,
   * `embed` and `compare` refuse them (LowQualityError). Not of `detect`, which judges none.
   */
  minQuality?: number | undefined;
  /** `embed` alone: the image is a 112x112 crop, aligned to the ArcFace template. */
  aligned?: boolean | undefined;
}

/** Those of `options` that are of faces, where more may have come with them. */
export function faceOptions(options: FaceOptions): FaceOptions {
  const { minConfidence, maxFaces, detectionSize, orientation, refine, tiles } = options;
  const { minQuality, aligned } = options;
  const looks = { minConfidence, maxFaces, detectionSize, orientation, refine, tiles };
  return { ...looks, minQuality, aligned };
}

export type Parameters = Record<string, number | boolean | string>;

/** Wire names of the options; values must be of their kind, the ranges are the server's. */
export function buildParameters(options: FaceOptions): Parameters {
  const parameters: Parameters = {};
  const { minConfidence, maxFaces, detectionSize, orientation, refine, tiles } = options;
  const { minQuality, aligned } = options;
  if (minConfidence !== undefined) {
    parameters.min_confidence = finite("minConfidence", minConfidence);
  }
  if (maxFaces !== undefined) parameters.max_faces = whole("maxFaces", maxFaces);
  if (detectionSize !== undefined) {
    parameters.detection_size = whole("detectionSize", detectionSize);
  }
  if (orientation !== undefined) {
    const isText = typeof orientation === "string";
    parameters.orientation = checked("orientation", orientation, isText, "text");
  }
  if (refine !== undefined) {
    const isBoolean = typeof refine === "boolean";
    parameters.refine = checked("refine", refine, isBoolean, "true or false");
  }
  if (tiles !== undefined) parameters.tiles = whole("tiles", tiles);
  if (minQuality !== undefined) parameters.min_quality = finite("minQuality", minQuality);
  if (aligned) parameters.aligned = true;
  return parameters;
}

function finite(name: string, value: number): number {
  return checked(name, value, Number.isFinite(value), "a number");
}

function whole(name: string, value: number): number {
  return checked(name, value, Number.isSafeInteger(value), "a whole number");
}

function checked<T>(name: string, value: T, fits: boolean, kind: string): T {
  if (fits) return value;
  throw new InvalidRequestError(`${name}=${value}: must be ${kind}`, { code: "invalid_parameter" });
}
