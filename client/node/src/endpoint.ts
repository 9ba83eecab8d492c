/** One server behind its circuit breaker. */

import CircuitBreaker from "opossum";
import { buildParameters, DETECTOR, EMBEDDER, PUBLIC_MODELS } from "./contract.js";
import { type Deadline, withDeadline } from "./deadline.js";
import {
  AurumError,
  isRateLimit,
  isServersFault,
  ModelNotFoundError,
  UnavailableError,
} from "./errors.js";
import type { HttpTransport } from "./http.js";
import { parseMetadata, parseModelIds } from "./parse.js";
import { GRAY_PNG } from "./probe.js";
import type { BreakerState, EndpointHealth, ModelIds, ModelInfo } from "./results.js";
import type { Ask } from "./rung.js";
import type { Outputs } from "./tensors.js";

export interface BreakerOptions {
  /** Calls within 5 s below which the share of failures says nothing. Default: 5. */
  volumeThreshold?: number | undefined;
  /** Share of failed calls within 5 s, in percent, above which it opens. Default: 50. */
  errorThresholdPercentage?: number | undefined;
  /** Milliseconds from opening to a probe that may close it. Default: 500. */
  resetTimeoutMs?: number | undefined;
  /** Milliseconds that a probe may take. Default: 2000. */
  probeTimeoutMs?: number | undefined;
}

const WINDOW_MS = 5_000;
/** Inferences in a row that a server must answer before it gets calls again. */
const PROOFS = 2;
/** A server that fails again so soon after it came back is given twice the time, each time. */
const RELAPSE_MS = 30_000;
const LONGEST_RESET_MS = 30_000;

export class Endpoint {
  private readonly breaker: CircuitBreaker<[() => Promise<unknown>], unknown>;
  private readonly resetTimeoutMs: number;
  private readonly probeTimeoutMs: number;
  private readonly closing = new AbortController();
  private calm: NodeJS.Timeout | undefined;
  private suspected = false;

  constructor(
    readonly transport: HttpTransport,
    options: BreakerOptions,
    changed: (endpoint: Endpoint) => void,
  ) {
    this.resetTimeoutMs = options.resetTimeoutMs ?? 500;
    this.probeTimeoutMs = options.probeTimeoutMs ?? 2000;
    this.breaker = new CircuitBreaker((call: () => Promise<unknown>) => call(), {
      timeout: false, // the calls have deadlines of their own
      rollingCountTimeout: WINDOW_MS,
      volumeThreshold: options.volumeThreshold ?? 5,
      errorThresholdPercentage: options.errorThresholdPercentage ?? 50,
      resetTimeout: this.resetTimeoutMs,
      // A bad photo, a caller who gives up, or too many of them, says nothing of the server.
      errorFilter: (error: unknown) => !isServersFault(error) || isRateLimit(error),
    });
    this.breaker.on("open", () => changed(this));
    this.breaker.on("close", () => {
      this.waitLongerNextTime();
      changed(this);
    });
    // opossum lets one call through to try the server. That is our probe, fired before anybody
    // else can: no user waits for a server that may still be dead.
    this.breaker.on("halfOpen", () => {
      this.breaker.fire(() => this.prove()).catch(() => {});
    });
  }

  get url(): string {
    return this.transport.url;
  }

  get state(): BreakerState {
    if (this.breaker.halfOpen) return "halfOpen";
    return this.breaker.opened ? "open" : "closed";
  }

  get usable(): boolean {
    return this.state === "closed";
  }

  async infer(ask: Ask, deadline: Deadline): Promise<Outputs> {
    const parameters = buildParameters(ask.options);
    const send = () =>
      this.transport.infer(ask.pipeline, ask.image, parameters, ask.requestId, deadline);
    try {
      return (await this.breaker.fire(send)) as Outputs;
    } catch (error) {
      if ((error as { code?: unknown }).code !== "EOPENBREAKER") throw error;
      throw new UnavailableError(`${this.url} has failed and is being given time to recover`);
    }
  }

  /** After a failure: find out at once whether the server is down, without waiting for more. */
  suspect(): void {
    if (this.suspected || !this.usable) return;
    this.suspected = true;
    this.prove()
      .catch(() => {
        if (!this.closing.signal.aborted) this.breaker.open();
      })
      .finally(() => {
        this.suspected = false;
      });
  }

  async health(deadline: Deadline): Promise<EndpointHealth> {
    const health: EndpointHealth = {
      url: this.url,
      live: false,
      ready: false,
      latencyMs: null,
      models: null,
      breaker: this.state,
      error: null,
    };
    try {
      health.live = await this.transport.says("live", deadline);
      health.ready = await this.transport.says("ready", deadline);
      const start = performance.now();
      health.models = await this.inferProbe(deadline);
      health.latencyMs = performance.now() - start;
    } catch (error) {
      if (!(error instanceof AurumError)) throw error;
      health.error = error;
    }
    return health;
  }

  /** Describe the public models; one that the server does not have is listed as not ready. */
  async models(deadline: Deadline): Promise<ModelInfo[]> {
    return Promise.all(PUBLIC_MODELS.map((name) => this.describe(name, deadline)));
  }

  close(): void {
    this.closing.abort();
    clearTimeout(this.calm);
    this.breaker.shutdown();
  }

  private async describe(name: string, deadline: Deadline): Promise<ModelInfo> {
    try {
      const metadata = await this.transport.metadata(name, deadline);
      const ready = await this.transport.says(`models/${name}/ready`, deadline);
      return parseMetadata(metadata, ready, await this.answeringId(name, deadline));
    } catch (error) {
      if (!(error instanceof ModelNotFoundError)) throw error;
      return { name, versions: [], ready: false, inputs: [], outputs: [], id: null };
    }
  }

  private async answeringId(name: string, deadline: Deadline): Promise<string | null> {
    try {
      if (name === DETECTOR) return (await this.inferProbe(deadline)).detector;
      if (name === EMBEDDER) return (await this.inferProbe(deadline, true)).embedder;
    } catch (error) {
      // the rest of the description is worth having all the same
      if (!(error instanceof AurumError)) throw error;
    }
    return null;
  }

  private async inferProbe(deadline: Deadline, aligned = false): Promise<ModelIds> {
    const parameters = buildParameters({ aligned });
    const pipeline = aligned ? "embed_face" : "detect_faces";
    return parseModelIds(
      await this.transport.infer(pipeline, GRAY_PNG, parameters, undefined, deadline),
    );
  }

  /** Both models must answer: Triton's own readiness does not see a dead Python stub. */
  private prove(): Promise<void> {
    return withDeadline(this.probeTimeoutMs, [this.closing.signal], async (deadline) => {
      for (let proof = 0; proof < PROOFS; proof++) {
        await this.inferProbe(deadline);
        await this.inferProbe(deadline, true);
      }
    });
  }

  /** Until it has been well for a while, the next failure costs it twice the time. */
  private waitLongerNextTime(): void {
    const { options } = this.breaker as unknown as { options: { resetTimeout: number } };
    options.resetTimeout = Math.min(LONGEST_RESET_MS, 2 * options.resetTimeout);
    clearTimeout(this.calm);
    this.calm = setTimeout(() => {
      options.resetTimeout = this.resetTimeoutMs;
    }, RELAPSE_MS).unref();
  }
}
