import { withDeadline } from "./deadline.js";
import type { Endpoint } from "./endpoint.js";
import {
  type AurumError,
  isRateLimit,
  isServersFault,
  RequestTimeoutError,
  UnavailableError,
} from "./errors.js";
import { backoff } from "./retry.js";
import type { Ask, Rung } from "./rung.js";
import type { Outputs } from "./tensors.js";

/** The first rung: the Triton servers, in the order of preference. */
export class TritonRung implements Rung {
  readonly source = "triton";

  /**
   * @param endpoints the most preferred first
   * @param timeoutMs of a call in all, its retries included
   * @param retries rounds over the endpoints after the first
   * @param hasNext whether there is a lower rung: then nobody waits for servers that are down
   */
  constructor(
    readonly endpoints: readonly Endpoint[],
    private readonly timeoutMs: number,
    private readonly retries: number,
    private readonly hasNext: boolean,
  ) {}

  get usable(): boolean {
    return this.endpoints.some((endpoint) => endpoint.usable);
  }

  infer(ask: Ask): Promise<Outputs> {
    return withDeadline(ask.timeoutMs ?? this.timeoutMs, ask.givenUp, async (deadline) => {
      let failure: AurumError | undefined;
      for (let attempt = 0, round = 0; round <= this.retries; attempt++) {
        const usable = this.endpoints.filter((endpoint) => endpoint.usable);
        if (usable.length === 0) break;
        if (attempt > 0 && !(await deadline.sleep(backoff(attempt - 1)))) break;
        for (const [index, endpoint] of usable.entries()) {
          // A server that hangs must leave time for the others.
          const share = deadline.leftMs / (usable.length - index);
          try {
            return await deadline.within(share, (part) => endpoint.infer(ask, part));
          } catch (error) {
            if (!isServersFault(error)) throw error;
            const final = round === this.retries || !error.retryable;
            if (!isRateLimit(error) && (this.hasNext || final)) endpoint.suspect();
            const late = error instanceof RequestTimeoutError;
            // Who was too fast until the time was over is told that, and not only that it is over.
            if (late && isRateLimit(failure)) continue;
            deadline.check(late ? (failure ?? error) : error);
            failure = error;
          }
        }
        if (!failure?.retryable) break;
        // Who is only too fast waits as long as the call may: the servers are well.
        if (!isRateLimit(failure)) round++;
      }
      throw failure ?? this.allDown();
    });
  }

  private allDown(): UnavailableError {
    const urls = this.endpoints.map((endpoint) => endpoint.url).join(", ");
    return new UnavailableError(`no server is usable: ${urls} failed, and are being probed`);
  }

  async close(): Promise<void> {
    for (const endpoint of this.endpoints) endpoint.close();
  }
}
