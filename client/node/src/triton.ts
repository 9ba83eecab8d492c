import { withDeadline } from "./deadline.js";
import type { Endpoint } from "./endpoint.js";
import {
  type AurumError,
  isRateLimit,
  isServersFault,
  RequestTimeoutError,
  UnavailableError,
} from "./errors.js";
import type { InferenceRequest, InferenceSource } from "./inference-source.js";
import { backoff } from "./retry.js";
import type { Outputs } from "./tensors.js";

/** The Triton servers, in order of preference: the first source of the fallback chain. */
export class TritonSource implements InferenceSource {
  readonly source = "triton";

  /**
   * @param endpoints the servers, the preferred first
   * @param timeoutMs total time of a call, retries included
   * @param retries rounds over the endpoints after the first
   * @param hasFallback whether another source follows: then a call doesn't wait for servers that
   *   are down
   */
  constructor(
    readonly endpoints: readonly Endpoint[],
    private readonly timeoutMs: number,
    private readonly retries: number,
    private readonly hasFallback: boolean,
  ) {}

  get usable(): boolean {
    return this.endpoints.some((endpoint) => endpoint.usable);
  }

  infer(request: InferenceRequest): Promise<Outputs> {
    return withDeadline(request.timeoutMs ?? this.timeoutMs, request.signals, async (deadline) => {
      let failure: AurumError | undefined;
      for (let attempt = 0, round = 0; round <= this.retries; attempt++) {
        const usable = this.endpoints.filter((endpoint) => endpoint.usable);
        if (usable.length === 0) break;
        if (attempt > 0 && !(await deadline.sleep(backoff(attempt - 1)))) break;
        for (const [index, endpoint] of usable.entries()) {
          // A server that hangs must leave time for the others.
          const share = deadline.leftMs / (usable.length - index);
          try {
            return await deadline.within(share, (part) => endpoint.infer(request, part));
          } catch (error) {
            if (!isServersFault(error)) throw error;
            const final = round === this.retries || !error.retryable;
            if (!isRateLimit(error) && (this.hasFallback || final)) endpoint.suspect();
            const late = error instanceof RequestTimeoutError;
            // Report the rate limit, not the timeout that it led to.
            if (late && isRateLimit(failure)) continue;
            deadline.check(late ? (failure ?? error) : error);
            failure = error;
          }
        }
        if (!failure?.retryable) break;
        // A rate-limited call may use all its time: the servers are healthy.
        if (!isRateLimit(failure)) round++;
      }
      throw failure ?? this.allDown();
    });
  }

  private allDown(): UnavailableError {
    const urls = this.endpoints.map((endpoint) => endpoint.url).join(", ");
    return new UnavailableError(`no server is usable: ${urls} failed and are being probed`);
  }

  async close(): Promise<void> {
    for (const endpoint of this.endpoints) endpoint.close();
  }
}
