import { setMaxListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { RequestTimeoutError } from "./errors.js";

/** What bounds one call: its time, and whoever may give it up. Made by `withDeadline`. */
export class Deadline {
  private readonly end: number;

  constructor(
    readonly timeoutMs: number,
    readonly signal: AbortSignal,
    private readonly givenUp: readonly AbortSignal[],
  ) {
    this.end = performance.now() + timeoutMs;
  }

  get leftMs(): number {
    return Math.max(0, this.end - performance.now());
  }

  /** Call `work` with a deadline within this one: this one itself, where it comes first. */
  within<T>(timeoutMs: number, work: (deadline: Deadline) => Promise<T>): Promise<T> {
    if (timeoutMs >= this.leftMs) return work(this);
    return withDeadline(timeoutMs, this.givenUp, work);
  }

  /** @throws the reason of whoever gave the call up, or RequestTimeoutError. */
  check(cause?: unknown): void {
    for (const signal of this.givenUp) signal.throwIfAborted();
    if (this.signal.aborted) {
      throw new RequestTimeoutError(`no answer within ${Math.round(this.timeoutMs)} ms`, { cause });
    }
  }

  /** Wait; false if that would take until the end, which would only hide the reason behind it. */
  async sleep(ms: number): Promise<boolean> {
    if (ms >= this.leftMs) return false;
    await sleep(ms, undefined, { signal: this.signal }).catch(() => this.check());
    return true;
  }

  /** Await `promise`, but no longer than allowed. */
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
 * Call `work` with a deadline of `timeoutMs` that also ends when one of `givenUp` is aborted.
 *
 * Not AbortSignal.any and .timeout: followers of a signal that lives as long as the client have
 * leaked in several releases of Node 20 and 22. Here nothing outlives the call.
 */
export async function withDeadline<T>(
  timeoutMs: number,
  givenUp: readonly AbortSignal[],
  work: (deadline: Deadline) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const stop = () => controller.abort();
  const timer = setTimeout(stop, timeoutMs);
  // One signal may be that of any number of calls; no warning, as all listeners are removed below.
  setMaxListeners(0, ...givenUp);
  for (const signal of givenUp) signal.addEventListener("abort", stop);
  try {
    const deadline = new Deadline(timeoutMs, controller.signal, givenUp);
    deadline.check();
    return await work(deadline);
  } finally {
    clearTimeout(timer);
    for (const signal of givenUp) signal.removeEventListener("abort", stop);
  }
}
