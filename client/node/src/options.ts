/** The server's checks of request parameters, for sources that answer without a server. */

import { brief } from "./brief.js";
import {
  ALIGNED_SIZE,
  DEFAULTS,
  DETECTION_STEP,
  type FaceOptions,
  MAX_TILES,
  ORIENTATIONS,
  type Pipeline,
} from "./contract.js";
import { InvalidRequestError } from "./errors.js";

/** Defaults of the options, and their limits. */
export type Limits = Pick<
  typeof DEFAULTS,
  "minConfidence" | "detectionSize" | "maxDetectionSize" | "orientation" | "refine"
>;

/** Options with the defaults filled in. */
export type CheckedOptions = { [K in keyof FaceOptions]-?: NonNullable<FaceOptions[K]> };

/** @throws InvalidRequestError that names the option, its value and the allowed values. */
export function checkOptions(
  options: FaceOptions,
  pipeline: Pipeline,
  limits: Limits = DEFAULTS,
): CheckedOptions {
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
  const step = DETECTION_STEP;
  const largest = limits.maxDetectionSize;
  if (!(detectionSize % step === 0 && detectionSize >= step && detectionSize <= largest)) {
    const range = `from ${step} to ${largest} (AURUM_MAX_DETECTION_SIZE)`;
    refuse("detection_size", detectionSize, `must be a multiple of ${step} ${range}`);
  }
  if (!ORIENTATIONS.includes(orientation)) {
    refuse("orientation", `'${brief(orientation)}'`, `must be one of ${ORIENTATIONS.join(", ")}`);
  }
  if (typeof refine !== "boolean") refuse("refine", refine, "must be true or false");
  if (!(Number.isSafeInteger(tiles) && tiles >= 0 && tiles <= MAX_TILES)) {
    refuse("tiles", tiles, `must be a whole number from 0 to ${MAX_TILES}`);
  }
  checkShare("min_quality", minQuality);
  if (pipeline === "detect_faces" && options.minQuality !== undefined) {
    const instead = "detect_faces returns no quality; use analyze_faces or embed_face";
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

/** @throws InvalidRequestError: an image that is sent as an aligned crop has another size. */
export function checkAligned({ width, height }: { width: number; height: number }): void {
  if (width === ALIGNED_SIZE && height === ALIGNED_SIZE) return;
  throw new InvalidRequestError(
    `the image is ${width}x${height}; with aligned=true it must be an aligned crop of ` +
      `${ALIGNED_SIZE}x${ALIGNED_SIZE} pixels`,
    { code: "not_aligned" },
  );
}

function checkShare(name: string, value: number): void {
  if (!(value >= 0 && value <= 1)) refuse(name, value, "must be a number from 0 to 1");
}

function refuse(name: string, value: unknown, allowed: string): never {
  throw new InvalidRequestError(`${name}=${brief(value)}: ${allowed}`, {
    code: "invalid_parameter",
  });
}
