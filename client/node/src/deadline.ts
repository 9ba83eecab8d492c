import { setMaxListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { RequestTimeoutError } from "./errors.js";

/** The time limit of one call, and the signals that can abort it; see `withDeadline`. */
export class Deadline {
  private readonly end: number;

  constructor(
    readonly timeoutMs: number,
    readonly signal: AbortSignal,
    private readonly signals: readonly AbortSignal[],
  ) {
    this.end = performance.now() + timeoutMs;
  }

  get leftMs(): number {
    return Math.max(0, this.end - performance.now());
  }

  /** Call `work` with a shorter deadline, or with this one if it ends first. */
  within<T>(timeoutMs: number, work: (deadline: Deadline) => Promise<T>): Promise<T> {
    if (timeoutMs >= this.leftMs) return work(this);
    return withDeadline(timeoutMs, this.signals, work);
  }

  /** @throws the reason of the aborted signal, or RequestTimeoutError. */
  check(cause?: unknown): void {
    for (const signal of this.signals) signal.throwIfAborted();
    if (this.signal.aborted) {
      throw new RequestTimeoutError(`no answer within ${Math.round(this.timeoutMs)} ms`, { cause });
    }
  }

  /** Sleep; false, without sleeping, if the deadline would pass: a timeout would hide the cause. */
  async sleep(ms: number): Promise<boolean> {
    if (ms >= this.leftMs) return false;
    await sleep(ms, undefined, { signal: this.signal }).catch(() => this.check());
    return true;
  }

  /** Await `promise`, but only until the deadline. */
  async race<T>(promise: Promise<T>): Promise<T> {
    const ended = new Promise<never>((_, reject) => {
      const stop = () => reject(this.signal.reason);
      if (this.signal.aborted) stop();
      this.signal.addEventListener("abort", stop, { once: true });
    });
    try {
      return await Promise.race([promise, ended]);
    } catch (error) {
      this.check(error);
      throw error;
    }
  }
}

/**
 * Call `work` with a deadline of `timeoutMs` that also ends if one of `signals` is aborted.
 *
 * AbortSignal.any and .timeout are not used: signals derived from one that lives as long as the
 * client leaked in several releases of Node 20 and 22. Here nothing outlives the call.
 */
export async function withDeadline<T>(
  timeoutMs: number,
  signals: readonly AbortSignal[],
  work: (deadline: Deadline) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const stop = () => controller.abort();
  const timer = setTimeout(stop, timeoutMs);
  // Many calls may share one signal. All listeners are removed below, so no warning is needed.
  setMaxListeners(0, ...signals);
  for (const signal of signals) signal.addEventListener("abort", stop);
  try {
    const deadline = new Deadline(timeoutMs, controller.signal, signals);
    deadline.check();
    return await work(deadline);
  } finally {
    clearTimeout(timer);
    for (const signal of signals) signal.removeEventListener("abort", stop);
  }
}
