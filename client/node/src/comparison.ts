/** Comparison of two embeddings: do they show the same person? */

import { checkFar, checkPrior, DEFAULT_FAR, type Far } from "./calibration.js";
import { ModelMismatchError } from "./errors.js";
import type { Embedding, Face } from "./results.js";

/** The outcome of a comparison; "not recognizable" takes precedence over "uncalibrated". */
export type Decision = "match" | "no match" | "not recognizable" | "uncalibrated";

export interface CompareOptions {
  /** The false accept rate of the decision: 1e-4 (default), 1e-3 or 1e-2. */
  far?: Far | undefined;
  /** The share of same-person pairs among all that you compare; default: the calibration's. */
  prior?: number | undefined;
}

/** The similarity of two faces and the decision that follows from it. */
export class Comparison {
  /** The outcome: `match` in words, or why `match` is null. */
  readonly decision: Decision;
  /**
   * Whether both faces were checked for being recognizable. False for embeddings stored without
   * that and for embedders without a gate: then a match may be a match of two unrecognizable faces.
   */
  readonly gated: boolean;
  /** Why a face is not recognizable, such as "first photo: sharpness 0.21"; else null. */
  readonly reason: string | null;
  /**
   * Whether the faces match. Null without a calibration, and if a face is not recognizable: its
   * embedding is as close to strangers in equally poor photos as to the same person.
   */
  readonly match: boolean | null;
  /** The probability that they show the same person; null if `match` is. */
  readonly probability: number | null;

  private constructor(
    /** The cosine of the embeddings, -1 to 1 (same person: near 1). */
    readonly similarity: number,
    readonly a: Embedding,
    readonly b: Embedding,
    /** The false accept rate of the decision. */
    readonly far: Far,
    /** The lowest similarity of a match; null without a calibration. */
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
   * Compare two embeddings, new or stored, using the calibration of `a`.
   *
   * @throws ModelMismatchError: they come from different embedders, or one is simulated.
   * @throws RangeError: `far` or `prior` is not allowed.
   */
  static between(a: Embedding, b: Embedding, options: CompareOptions = {}): Comparison {
    const { far = DEFAULT_FAR, prior } = options;
    checkFar(far);
    checkPrior(prior);
    if (a.simulated !== b.simulated) {
      throw new ModelMismatchError("a simulated embedding can't be compared with a real one");
    }
    if (a.models.embedder !== b.models.embedder) {
      const ids = `${a.models.embedder} and ${b.models.embedder}`;
      throw new ModelMismatchError(`embeddings from different models can't be compared: ${ids}`);
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
  if (defect === null) return "reason unknown"; // an embedding that was stored without it
  if (qualityParts === null) return defect;
  return `${defect} ${Number(qualityParts[defect].toPrecision(3))}`;
}

export function dot(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, index) => sum + value * b[index]!, 0);
}
