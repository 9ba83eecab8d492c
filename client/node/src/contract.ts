/** Names, shapes, defaults and limits of the service's API; see docs/reference/contract.md. */

import { brief } from "./brief.js";
import { InvalidRequestError } from "./errors.js";

export const PIPELINES = ["detect_faces", "embed_face", "analyze_faces"] as const;
export type Pipeline = (typeof PIPELINES)[number];
export const DETECTOR = "face_detection";
export const LANDMARKER = "face_landmarks";
export const EMBEDDER = "face_embedding";
/** The models that a client may call or describe. */
export const PUBLIC_MODELS = [DETECTOR, EMBEDDER, ...PIPELINES] as const;

export const LANDMARKS = 5;
export const EMBEDDING_SIZE = 512;
/** Numbers in `calibration`: three thresholds, slope, intercept, prior. */
export const CALIBRATION_SIZE = 6;
/** Width and height of an aligned crop, in pixels. */
export const ALIGNED_SIZE = 112;
/** The lowest `liveness` of a face that counts as live. */
export const LIVE_FROM = 0.5;
/** The value of `gate` for a recognizable face; other values are columns of `quality_parts`. */
export const RECOGNIZABLE = -1;

/** The columns of `quality_parts`, in order; `wireName` gives their names on the wire. */
export const QUALITY_PARTS = [
  "resolution",
  "sharpness",
  "noise",
  "exposure",
  "contrast",
  "yaw",
  "pitch",
  "roll",
  "frontality",
  "symmetry",
  "visibility",
  "misfit",
  "borderCut",
  "confidence",
  "norm",
  "recognizability",
] as const;
export type QualityPart = (typeof QUALITY_PARTS)[number];

/** The name on the wire: `border_cut` for `borderCut`. */
export function wireName(part: QualityPart): string {
  return part.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

export type Output = readonly [
  datatype: "FP32" | "INT32" | "BOOL" | "BYTES",
  ...shape: (number | "F" | null)[],
];

/** The pipelines' output tensors: datatype and shape; F is the number of faces, null any size. */
export const OUTPUTS = {
  boxes: ["FP32", "F", 4],
  landmarks: ["FP32", "F", LANDMARKS, 2],
  scores: ["FP32", "F"],
  rotations: ["INT32", "F"],
  complete: ["BOOL", 1],
  image_size: ["INT32", 2],
  models: ["BYTES", 2],
  embeddings: ["FP32", "F", EMBEDDING_SIZE],
  quality: ["FP32", "F"],
  quality_parts: ["FP32", "F", null], // QUALITY_PARTS; later versions may add more
  gate: ["INT32", null], // F, or 0 if unknown
  calibration: ["FP32", null], // CALIBRATION_SIZE, or 0 if unknown
  liveness: ["FP32", null], // F, or 0 if it isn't scored
} as const satisfies Record<string, Output>;

/** The error codes that the service puts before its messages and this client tells apart. */
export const ERROR_CODES = [
  "invalid_image",
  "no_face",
  "low_quality",
  "invalid_parameter",
  "not_aligned",
  "unavailable",
] as const;
export type ErrorCode = (typeof ERROR_CODES)[number];

/** The source of an answer: the service, its graphs in this process, or made-up faces. */
export const SOURCES = ["triton", "local", "simulated"] as const;
export type Source = (typeof SOURCES)[number];

/** `auto` also searches the photo rotated if it shows no face, or none that looks upright. */
export const ORIENTATIONS = ["auto", "exif"] as const;
export type Orientation = (typeof ORIENTATIONS)[number];

export const MAX_TILES = 16;
/** `detectionSize` is a multiple of this, in pixels; also the detectors' coarsest stride. */
export const DETECTION_STEP = 32;

/** The service's default settings. */
export const DEFAULTS = {
  minConfidence: 0.6,
  nmsIou: 0.3,
  detectionSize: 640,
  maxDetectionSize: 2560,
  orientation: "auto" as Orientation,
  refine: true,
  maxImageBytes: 25_000_000,
  maxBase64Bytes: 10_000_000,
  maxImagePixels: 50_000_000,
  maxJpegPixels: 110_000_000,
};

/** Options that decide which faces a call returns. The server has a default for each. */
export interface FaceOptions {
  /** The lowest score of a face, 0 to 1. */
  minConfidence?: number | undefined;
  /** Return at most this many faces, the largest; 0 for all. */
  maxFaces?: number | undefined;
  /** The long side of the detector's input, in pixels: a multiple of 32. */
  detectionSize?: number | undefined;
  /** `exif`: trust the EXIF orientation and don't search the photo rotated. */
  orientation?: Orientation | undefined;
  /** Whether to run a second pass on each face, which makes its landmarks more stable. */
  refine?: boolean | undefined;
  /**
   * Also search the photo in this many tiles, at most 16: finds smaller faces, but takes longer.
   * 0: only if the photo is very long; 1: never.
   */
  tiles?: number | undefined;
  /**
   * The lowest quality of a face, 0 to 1. `analyze` omits other faces, after `maxFaces`; `embed`
   * and `compare` reject with LowQualityError. Not an option of `detect`, which has no quality.
   */
  minQuality?: number | undefined;
  /** `embed` only: the image is a 112x112 crop, aligned to the ArcFace template. */
  aligned?: boolean | undefined;
}

/** The request parameter of each option. */
export const PARAMETERS = {
  minConfidence: "min_confidence",
  maxFaces: "max_faces",
  detectionSize: "detection_size",
  orientation: "orientation",
  refine: "refine",
  tiles: "tiles",
  minQuality: "min_quality",
  aligned: "aligned",
} as const satisfies Record<keyof FaceOptions, string>;

type OptionName = keyof FaceOptions;
const OPTION_NAMES = Object.keys(PARAMETERS) as OptionName[];

/** A copy of `options` without the options that are not about faces. */
export function faceOptions(options: FaceOptions): FaceOptions {
  return Object.fromEntries(OPTION_NAMES.map((name) => [name, options[name]]));
}

export type Parameters = Record<string, number | boolean | string>;

type Check = readonly [accepts: (value: unknown) => boolean, kind: string];
const NUMBER: Check = [Number.isFinite, "a number"];
const WHOLE: Check = [Number.isSafeInteger, "a whole number"];
const TEXT: Check = [(value) => typeof value === "string", "text"];
const BOOLEAN: Check = [(value) => typeof value === "boolean", "true or false"];
const CHECKS: Record<Exclude<OptionName, "aligned">, Check> = {
  minConfidence: NUMBER,
  maxFaces: WHOLE,
  detectionSize: WHOLE,
  orientation: TEXT,
  refine: BOOLEAN,
  tiles: WHOLE,
  minQuality: NUMBER,
};

/**
 * Translate options to request parameters. Checks types only: the server checks ranges.
 *
 * @throws InvalidRequestError: an option has the wrong type.
 */
export function buildParameters(options: FaceOptions): Parameters {
  const parameters: Parameters = {};
  for (const [key, [accepts, kind]] of Object.entries(CHECKS)) {
    const name = key as OptionName;
    const value = options[name];
    if (value === undefined) continue;
    if (!accepts(value)) {
      const message = `${name}=${brief(value)}: must be ${kind}`;
      throw new InvalidRequestError(message, { code: "invalid_parameter" });
    }
    parameters[PARAMETERS[name]] = value;
  }
  if (options.aligned) parameters[PARAMETERS.aligned] = true;
  return parameters;
}
