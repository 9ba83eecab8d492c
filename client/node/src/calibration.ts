/** What the similarity of two embeddings means, as it was measured for their embedder. */

/** The false accept rates that calibrated embedders have thresholds for, in the wire's order. */
export const FARS = [1e-2, 1e-3, 1e-4] as const;
export type Far = (typeof FARS)[number];
export const DEFAULT_FAR: Far = 1e-4;

/** Thresholds and probabilities of one embedder, for pairs like those it was calibrated on. */
export class Calibration {
  /**
   * @param thresholds by FARS: the cosine from which two faces count as one person's.
   * @param slope of the logistic (Platt 1999) that was fitted
   * @param intercept of it
   * @param prior the share of one person's pairs that it was fitted for
   */
  constructor(
    readonly thresholds: readonly number[],
    readonly slope: number,
    readonly intercept: number,
    readonly prior: number,
  ) {}

  /** Read the six numbers of the wire: thresholds by FARS, slope, intercept, prior. */
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

  /** The cosine from which two faces count as one person's at this false accept rate. */
  threshold(far: Far): number {
    checkFar(far);
    return this.thresholds[FARS.indexOf(far)]!;
  }

  /**
   * The chance, 0 to 1, that two faces of this cosine are one person's.
   *
   * @param prior the share of one person's pairs among all that you compare; left out, that of
   *   the calibration. Bayes' rule moves the log-odds by its logit.
   */
  probability(similarity: number, prior?: number): number {
    checkPrior(prior);
    const shift = prior === undefined ? 0 : logit(prior) - logit(this.prior);
    return 1 / (1 + Math.exp(-(this.slope * similarity + this.intercept + shift)));
  }
}

/** @throws RangeError, which names those there are, if there is no threshold for this rate. */
export function checkFar(far: number): asserts far is Far {
  if (!FARS.includes(far as Far)) {
    throw new RangeError(`far=${far}: must be one of ${FARS.join(", ")}`);
  }
}

/** @throws RangeError if this is no share of pairs that a probability can be told by. */
export function checkPrior(prior: number | undefined): void {
  if (prior !== undefined && !(prior > 0 && prior < 1)) {
    throw new RangeError(`prior=${prior}: must be above 0 and below 1`);
  }
}

function logit(p: number): number {
  return Math.log(p / (1 - p));
}
