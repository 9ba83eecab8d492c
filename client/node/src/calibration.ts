/** Thresholds and probabilities for similarities, as measured for each embedder. */

import { brief } from "./brief.js";

/** The false accept rates for which calibrated embedders have thresholds, in wire order. */
export const FARS = [1e-2, 1e-3, 1e-4] as const;
export type Far = (typeof FARS)[number];
export const DEFAULT_FAR: Far = 1e-4;

/** The calibration of one embedder, valid for pairs like those it was measured on. */
export class Calibration {
  /**
   * @param thresholds for each of FARS, the lowest cosine at which two faces match
   * @param slope of the fitted logistic function (Platt 1999)
   * @param intercept of that function
   * @param prior the share of same-person pairs that it was fitted for
   */
  constructor(
    readonly thresholds: readonly number[],
    readonly slope: number,
    readonly intercept: number,
    readonly prior: number,
  ) {}

  /** Create one from the six numbers on the wire: thresholds by FARS, slope, intercept, prior. */
  static fromRow(row: ArrayLike<number>): Calibration {
    const [first, second, third, slope, intercept, prior] = Array.from(row) as [
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    return new Calibration([first, second, third], slope, intercept, prior);
  }

  /** The lowest cosine at which two faces match, at this false accept rate. */
  threshold(far: Far): number {
    checkFar(far);
    return this.thresholds[FARS.indexOf(far)]!;
  }

  /**
   * The probability, 0 to 1, that two faces with this cosine show the same person.
   *
   * @param prior the share of same-person pairs among all that you compare; default: that of the
   *   calibration. By Bayes' rule its logit shifts the log-odds.
   */
  probability(similarity: number, prior?: number): number {
    checkPrior(prior);
    const shift = prior === undefined ? 0 : logit(prior) - logit(this.prior);
    return 1 / (1 + Math.exp(-(this.slope * similarity + this.intercept + shift)));
  }
}

/** @throws RangeError that lists the valid rates, if there is no threshold for this one. */
export function checkFar(far: number): asserts far is Far {
  if (!FARS.includes(far as Far)) {
    throw new RangeError(`far=${brief(far)}: must be one of ${FARS.join(", ")}`);
  }
}

/** @throws RangeError: the prior is not strictly between 0 and 1. */
export function checkPrior(prior: number | undefined): void {
  if (prior !== undefined && !(prior > 0 && prior < 1)) {
    throw new RangeError(`prior=${brief(prior)}: must be above 0 and below 1`);
  }
}

function logit(p: number): number {
  return Math.log(p / (1 - p));
}
