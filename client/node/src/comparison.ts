/** Two embeddings, and whether they are one person's. */

import { checkFar, checkPrior, DEFAULT_FAR, type Far } from "./calibration.js";
import { ModelMismatchError } from "./errors.js";
import type { Embedding, Face } from "./results.js";

/** What a comparison comes to; "not recognizable" goes before "uncalibrated". */
export type Decision = "match" | "no match" | "not recognizable" | "uncalibrated";

export interface CompareOptions {
  /** The false accept rate of the decision: 1e-4 (default), 1e-3 or 1e-2. */
  far?: Far | undefined;
  /** The share of one person's pairs among all that you compare; default: the calibration's. */
  prior?: number | undefined;
}

/** How alike two faces are, and what follows from that. */
export class Comparison {
  /** What `match` says, or why it says nothing. */
  readonly decision: Decision;
  /**
   * Whether both faces are known to be recognizable or not. False for embeddings that were kept
   * without that, and for embedders of which it is not known: then a match may be one of two faces
   * that nobody could recognize.
   */
  readonly gated: boolean;
  /** Why a face is not recognizable, as "first photo: sharpness 0.21"; else null. */
  readonly reason: string | null;
  /**
   * Whether they count as one person's; null where a face is not recognizable, as it is as similar
   * to strangers that are spoilt like it as to its owner, and where not calibrated.
   */
  readonly match: boolean | null;
  /** The chance that they are one person's; null where `match` is. */
  readonly probability: number | null;

  private constructor(
    /** Their cosine, -1 to 1 (same person: near 1). */
    readonly similarity: number,
    readonly a: Embedding,
    readonly b: Embedding,
    /** The false accept rate that was asked for. */
    readonly far: Far,
    /** The similarity from which they count as one person's; null where not calibrated. */
    readonly threshold: number | null,
    probability: number | null,
  ) {
    this.gated = a.recognizable !== null && b.recognizable !== null;
    this.reason = reasonOf(a.face, b.face);
    const decided = this.reason === null && threshold !== null;
    this.match = decided ? similarity >= threshold : null;
    this.probability = decided ? probability : null;
    if (this.reason !== null) this.decision = "not recognizable";
    else if (this.match === null) this.decision = "uncalibrated";
    else this.decision = this.match ? "match" : "no match";
  }

  /**
   * Compare two embeddings, however long ago each was made, by the calibration of `a`.
   *
   * @throws ModelMismatchError: they come from different embedders, or one is simulated.
   * @throws RangeError: `far` or `prior` is not allowed.
   */
  static between(a: Embedding, b: Embedding, options: CompareOptions = {}): Comparison {
    const { far = DEFAULT_FAR, prior } = options;
    checkFar(far);
    checkPrior(prior);
    if (a.simulated !== b.simulated) {
      throw new ModelMismatchError("a simulated embedding does not compare with a real one");
    }
    if (a.models.embedder !== b.models.embedder) {
      const ids = `${a.models.embedder} and ${b.models.embedder}`;
      throw new ModelMismatchError(`embeddings of different models don't compare: ${ids}`);
    }
    // Rounding can carry the product of two unit vectors just past 1.
    const cosine = Math.max(-1, Math.min(1, dot(a.vector, b.vector)));
    const threshold = a.calibration?.threshold(far) ?? null;
    const probability = a.calibration?.probability(cosine, prior) ?? null;
    return new Comparison(cosine, a, b, far, threshold, probability);
  }
}

function reasonOf(first: Face, second: Face): string | null {
  const reasons = Object.entries({ first, second })
    .filter(([, face]) => face.recognizable === false)
    .map(([name, face]) => `${name} photo: ${defectOf(face)}`);
  return reasons.join("; ") || null;
}

function defectOf({ defect, qualityParts }: Face): string {
  if (defect === null) return "not told why"; // of an embedding that was kept without it
  if (qualityParts === null) return defect;
  return `${defect} ${Number(qualityParts[defect].toPrecision(3))}`;
}

export function dot(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, index) => sum + value * b[index]!, 0);
}
