/** What a member is told about a selfie, in words that say what to do. */

import { type Analysis, AurumError, type Face, InvalidRequestError } from "../src/index.js";

export interface Verdict {
  /** Whether the photo will do. */
  accepted: boolean;
  message: string;
  /** The quality from 0 to 100 that the app shows; null where nobody has judged it. */
  score: number | null;
}

/** Below it most photos that were too blurred to be recognized lie: docs/reports/scenarios.md. */
const LEAST_QUALITY = 0.8;
/** A second face that is at least so much of the first one's height is no bystander. */
const BYSTANDER = 0.5;

export function verdictOf(photo: Analysis): Verdict {
  const [face, second] = photo.faces;
  if (!face) return refused("We can't see a face. Hold the camera at arm's length, in good light.");
  if (second && second.bbox.height >= BYSTANDER * face.bbox.height) {
    return refused("There is more than one face. Please be alone in the photo.");
  }
  if (photo.simulated) return refused("We can't check photos just now. Please try again later.");
  if (face.quality === null) {
    return { accepted: true, message: "Thank you. Your score will follow shortly.", score: null };
  }
  const score = Math.round(100 * face.quality);
  if (face.recognizable === false || face.quality < LEAST_QUALITY) {
    return { accepted: false, message: advice(face), score };
  }
  return { accepted: true, message: "Thank you, that's a good photo.", score };
}

/** By the parts that are far from what good photos have: docs/design/quality.md of the service. */
function advice({ defect, qualityParts }: Face): string {
  const { exposure, sharpness, yaw } = qualityParts!;
  const unlit = defect === "exposure" || defect === "contrast" || defect === "noise";
  if (exposure < 0.5 || unlit) {
    return "Your face is too dark or too bright. Please turn to the light.";
  }
  if (sharpness < 0.4) return "The photo is blurred. Please hold still and wipe the lens.";
  if (Math.abs(yaw) > 30) return "Please look straight into the camera.";
  return "We can't see your face well. Please come closer, and take nothing before your face.";
}

/** The status and the message for a member whose photo got an error instead. */
export function verdictOn(error: unknown): { status: number; verdict: Verdict } {
  const code = error instanceof AurumError ? error.code : null;
  const status = (error as { status?: unknown }).status;
  if (status === 413 || /; at most \d+ are allowed/.test(`${error}`)) {
    return { status: 413, verdict: refused("The photo is too large. Please send a smaller one.") };
  }
  if (code === "invalid_image") {
    return { status: 400, verdict: refused("We can't open this file. Please send a JPEG or PNG.") };
  }
  if (error instanceof InvalidRequestError) return { status: 400, verdict: refused(error.message) };
  return {
    status: 503,
    verdict: refused("We can't check photos just now. Please try again in a minute."),
  };
}

function refused(message: string): Verdict {
  return { accepted: false, message, score: null };
}
