/** Feedback to members about their selfies, with advice on what to do. */

import { type Analysis, AurumError, type Face, InvalidRequestError } from "../src/index.js";

export interface Verdict {
  /** Whether the photo is good enough. */
  accepted: boolean;
  message: string;
  /** The quality that the app shows, 0 to 100; null if it was not assessed. */
  score: number | null;
}

/** Most photos too blurred to be recognized are below this: docs/reports/scenarios.md. */
const MIN_QUALITY = 0.8;
/** A second face is a bystander if its height is below this share of the first one's. */
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
  if (face.recognizable === false || face.quality < MIN_QUALITY) {
    return { accepted: false, message: advice(face), score };
  }
  return { accepted: true, message: "Thank you, that's a good photo.", score };
}

/** Advice by quality part; see the service's docs/design/quality.md. */
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

/** The status and feedback for a photo that caused an error. */
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
