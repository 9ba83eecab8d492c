/** The server's checks of request parameters, for the rungs that do without a server. */

import { type FaceOptions, ORIENTATIONS, type Orientation, type Pipeline } from "./contract.js";
import { InvalidRequestError } from "./errors.js";

export interface Limits {
  minConfidence: number;
  detectionSize: number;
  maxDetectionSize: number;
  orientation: Orientation;
  refine: boolean;
}

/** The server's own defaults (aurum/settings.py). */
export const LIMITS: Limits = {
  minConfidence: 0.6,
  detectionSize: 640,
  maxDetectionSize: 2560,
  orientation: "auto",
  refine: true,
};
const MAX_TILES = 16;

export interface Checked {
  minConfidence: number;
  maxFaces: number;
  detectionSize: number;
  orientation: Orientation;
  refine: boolean;
  tiles: number;
  minQuality: number;
  aligned: boolean;
}

/** @throws InvalidRequestError that names the option, its value and what is allowed. */
export function checkOptions(options: FaceOptions, limits: Limits, pipeline: Pipeline): Checked {
  const {
    minConfidence = limits.minConfidence,
    maxFaces = 0,
    detectionSize = limits.detectionSize,
    orientation = limits.orientation,
    refine = limits.refine,
    tiles = 0,
    aligned = false,
    minQuality = 0,
  } = options;
  checkShare("min_confidence", minConfidence);
  if (!(Number.isSafeInteger(maxFaces) && maxFaces >= 0)) {
    refuse("max_faces", maxFaces, "must be a whole number, 0 (all faces) or more");
  }
  const largest = limits.maxDetectionSize;
  if (!(detectionSize % 32 === 0 && detectionSize >= 32 && detectionSize <= largest)) {
    const allowed = `must be a multiple of 32 from 32 to ${largest} (AURUM_MAX_DETECTION_SIZE)`;
    refuse("detection_size", detectionSize, allowed);
  }
  if (!ORIENTATIONS.includes(orientation)) {
    refuse("orientation", `'${orientation}'`, `must be one of ${ORIENTATIONS.join(", ")}`);
  }
  if (typeof refine !== "boolean") refuse("refine", refine, "must be true or false");
  if (!(Number.isSafeInteger(tiles) && tiles >= 0 && tiles <= MAX_TILES)) {
    refuse("tiles", tiles, `must be a whole number from 0 to ${MAX_TILES}`);
  }
  checkShare("min_quality", minQuality);
  if (pipeline === "detect_faces" && options.minQuality !== undefined) {
    const instead = "detect_faces tells no quality; ask analyze_faces or embed_face";
    refuse("min_quality", minQuality, instead);
  }
  return {
    minConfidence,
    maxFaces,
    detectionSize,
    orientation,
    refine,
    tiles,
    minQuality,
    aligned,
  };
}

function checkShare(name: string, value: number): void {
  if (!(value >= 0 && value <= 1)) refuse(name, value, "must be a number from 0 to 1");
}

function refuse(name: string, value: unknown, allowed: string): never {
  throw new InvalidRequestError(`${name}=${value}: ${allowed}`, { code: "invalid_parameter" });
}
