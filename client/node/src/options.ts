/** The server's checks of request parameters, for the rungs that do without a server. */

import type { FaceOptions } from "./contract.js";
import { InvalidRequestError } from "./errors.js";

export interface Limits {
  minConfidence: number;
  detectionSize: number;
  maxDetectionSize: number;
}

/** The server's own defaults (aurum/settings.py). */
export const LIMITS: Limits = { minConfidence: 0.6, detectionSize: 640, maxDetectionSize: 1280 };

export interface Checked {
  minConfidence: number;
  maxFaces: number;
  detectionSize: number;
  aligned: boolean;
}

/** @throws InvalidRequestError that names the option, its value and what is allowed. */
export function checkOptions(options: FaceOptions, limits: Limits): Checked {
  const {
    minConfidence = limits.minConfidence,
    maxFaces = 0,
    detectionSize = limits.detectionSize,
    aligned = false,
  } = options;
  if (!(minConfidence >= 0 && minConfidence <= 1)) {
    refuse("min_confidence", minConfidence, "must be a number from 0 to 1");
  }
  if (!(Number.isSafeInteger(maxFaces) && maxFaces >= 0)) {
    refuse("max_faces", maxFaces, "must be a whole number, 0 (all faces) or more");
  }
  const largest = limits.maxDetectionSize;
  if (!(detectionSize % 32 === 0 && detectionSize >= 32 && detectionSize <= largest)) {
    refuse("detection_size", detectionSize, `must be a multiple of 32 from 32 to ${largest}`);
  }
  return { minConfidence, maxFaces, detectionSize, aligned };
}

function refuse(name: string, value: number, allowed: string): never {
  throw new InvalidRequestError(`${name}=${value}: ${allowed}`, { code: "invalid_parameter" });
}
