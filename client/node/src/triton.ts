import type { Activity } from "./activity.js";
import { withDeadline } from "./deadline.js";
import type { Endpoint } from "./endpoint.js";
import {
  type AurumError,
  isServersFault,
  RateLimitError,
  RequestTimeoutError,
  UnavailableError,
} from "./errors.js";
import type { Inference, InferenceRequest, InferenceSource } from "./inference-source.js";
import { backoff } from "./retry.js";

interface TritonOptions {
  /** Total time of a call, retries included. */
  timeoutMs: number;
  /** Rounds over the endpoints after the first. */
  retries: number;
  /** Whether another source follows: then a call doesn't wait for servers that are down. */
  hasFallback: boolean;
}

/** The Triton servers, in order of preference: the first source of the fallback chain. */
export class TritonSource implements InferenceSource {
  readonly source = "triton";

  /**
   * @param endpoints the servers, the preferred first
   */
  constructor(
    readonly endpoints: readonly Endpoint[],
    private readonly options: TritonOptions,
    private readonly activity: Activity,
  ) {}

  get usable(): boolean {
    return this.endpoints.some((endpoint) => endpoint.usable);
  }

  infer(request: InferenceRequest): Promise<Inference> {
    const { timeoutMs = this.options.timeoutMs, retries = this.options.retries } = request;
    return withDeadline(timeoutMs, request.signals, async (deadline) => {
      let failure: AurumError | undefined;
      let sent = 0;
      const wished = new Map<Endpoint, number>(); // when a server wants the next attempt
      const due = (endpoint: Endpoint) => wished.get(endpoint) ?? 0;
      for (let attempt = 0, round = 0; round <= retries; attempt++) {
        const usable = this.endpoints.filter((endpoint) => endpoint.usable);
        if (usable.length === 0) break;
        const now = performance.now();
        // On top of a server's wish, the backoff spreads out the calls that got the same one.
        const wish = Math.max(0, Math.min(...usable.map(due)) - now);
        let delayMs = attempt === 0 ? 0 : wish + backoff(attempt - 1);
        if (attempt > 0 && !(await deadline.sleep(delayMs))) break;
        const ready = usable.filter((endpoint) => due(endpoint) <= now + delayMs);
        for (const [index, endpoint] of ready.entries()) {
          sent++;
          if (failure) this.retrying(request, { attempt: sent, delayMs, error: failure }, endpoint);
          delayMs = 0; // the next server is asked at once
          // A server that hangs must leave time for the others.
          const share = deadline.leftMs / (ready.length - index);
          try {
            return await deadline.within(share, (part) => endpoint.infer(request, part));
          } catch (error) {
            if (!isServersFault(error)) throw error;
            if (error.retryAfterMs) wished.set(endpoint, performance.now() + error.retryAfterMs);
            const final = round === retries || !error.retryable;
            const limited = error instanceof RateLimitError;
            if (!limited && (this.options.hasFallback || final)) endpoint.suspect();
            const late = error instanceof RequestTimeoutError;
            // Report the rate limit, not the timeout that it led to.
            if (late && failure instanceof RateLimitError) continue;
            deadline.check(late ? (failure ?? error) : error);
            failure = error;
          }
        }
        if (!failure?.retryable) break;
        // A rate-limited call may use all its time: the servers are healthy.
        if (!(failure instanceof RateLimitError)) round++;
      }
      throw failure ?? this.allDown();
    });
  }

  private retrying(
    { pipeline, requestId = "" }: InferenceRequest,
    retry: { attempt: number; delayMs: number; error: AurumError },
    { url }: Endpoint,
  ): void {
    this.activity.retry({ pipeline, requestId, url, ...retry });
  }

  private allDown(): UnavailableError {
    const urls = this.endpoints.map((endpoint) => endpoint.url).join(", ");
    return new UnavailableError(`no server is usable: ${urls} failed and are being probed`);
  }

  async close(): Promise<void> {
    for (const endpoint of this.endpoints) endpoint.close();
  }
}
