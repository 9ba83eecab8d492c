/** One server and its circuit breaker. */

import CircuitBreaker from "opossum";
import { buildParameters, DETECTOR, EMBEDDER, PUBLIC_MODELS } from "./contract.js";
import { type Deadline, withDeadline } from "./deadline.js";
import {
  AurumError,
  isServersFault,
  ModelNotFoundError,
  RateLimitError,
  UnavailableError,
} from "./errors.js";
import type { HttpTransport } from "./http.js";
import type { Inference, InferenceRequest } from "./inference-source.js";
import { parseMetadata, parseModelIds } from "./parse.js";
import { GRAY_PNG } from "./probe.js";
import type { BreakerState, EndpointHealth, ModelIds, ModelInfo } from "./results.js";

export interface BreakerOptions {
  /** The fewest calls within 5 s that can open the breaker. Default: 5. */
  volumeThreshold?: number | undefined;
  /** The share of failed calls within 5 s, in percent, above which it opens. Default: 50. */
  errorThresholdPercentage?: number | undefined;
  /** Milliseconds from opening to the probe that may close it. Default: 500. */
  resetTimeoutMs?: number | undefined;
  /** Milliseconds that a probe may take. Default: 2000. */
  probeTimeoutMs?: number | undefined;
}

const WINDOW_MS = 5_000;
/** Consecutive inferences of each model that a server must answer before it gets calls again. */
const PROBES = 2;
/** The reset time doubles each time a server fails again this soon after its recovery. */
const RELAPSE_MS = 30_000;
const LONGEST_RESET_MS = 30_000;

export class Endpoint {
  private readonly breaker: CircuitBreaker<[() => Promise<unknown>], unknown>;
  private readonly resetTimeoutMs: number;
  private readonly probeTimeoutMs: number;
  private readonly closing = new AbortController();
  private relapse: NodeJS.Timeout | undefined;
  private suspected = false;

  constructor(
    readonly transport: HttpTransport,
    options: BreakerOptions,
    changed: (endpoint: Endpoint) => void,
  ) {
    this.resetTimeoutMs = options.resetTimeoutMs ?? 500;
    this.probeTimeoutMs = options.probeTimeoutMs ?? 2000;
    this.breaker = new CircuitBreaker((call: () => Promise<unknown>) => call(), {
      timeout: false, // calls have their own deadlines
      rollingCountTimeout: WINDOW_MS,
      volumeThreshold: options.volumeThreshold ?? 5,
      errorThresholdPercentage: options.errorThresholdPercentage ?? 50,
      resetTimeout: this.resetTimeoutMs,
      // Bad photos, aborted calls and rate limits say nothing about the server's health.
      errorFilter: (error: unknown) => !isServersFault(error) || error instanceof RateLimitError,
    });
    this.breaker.on("open", () => changed(this));
    this.breaker.on("close", () => {
      this.waitLongerNextTime();
      changed(this);
    });
    // opossum lets one call through to test the server. We send our own probe first, so that no
    // user's call waits for a server that may still be down.
    this.breaker.on("halfOpen", () => {
      this.breaker.fire(() => this.probe()).catch(() => {});
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

  async infer(request: InferenceRequest, deadline: Deadline): Promise<Inference> {
    const parameters = buildParameters(request.options);
    const { pipeline, image } = request;
    const send = () => this.transport.infer(pipeline, image, parameters, deadline, request);
    try {
      return (await this.breaker.fire(send)) as Inference;
    } catch (error) {
      if ((error as { code?: unknown }).code !== "EOPENBREAKER") throw error;
      throw new UnavailableError(`${this.url} failed and has time to recover`);
    }
  }

  /** Probe the server now, after a failure, instead of waiting for more failures. */
  suspect(): void {
    if (this.suspected || !this.usable) return;
    this.suspected = true;
    this.probe()
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
      health.live = await this.transport.check("live", deadline);
      health.ready = await this.transport.check("ready", deadline);
      const start = performance.now();
      health.models = await this.inferProbe(deadline);
      health.latencyMs = performance.now() - start;
    } catch (error) {
      if (!(error instanceof AurumError)) throw error;
      health.error = error;
    }
    return health;
  }

  /** Describe the public models; those that the server lacks are listed as not ready. */
  async models(deadline: Deadline): Promise<ModelInfo[]> {
    return Promise.all(PUBLIC_MODELS.map((name) => this.describe(name, deadline)));
  }

  close(): void {
    this.closing.abort();
    clearTimeout(this.relapse);
    this.breaker.shutdown();
  }

  private async describe(name: string, deadline: Deadline): Promise<ModelInfo> {
    try {
      const metadata = await this.transport.metadata(name, deadline);
      const ready = await this.transport.check(`models/${name}/ready`, deadline);
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
      // The rest of the description is still useful.
      if (!(error instanceof AurumError)) throw error;
    }
    return null;
  }

  private async inferProbe(deadline: Deadline, aligned = false): Promise<ModelIds> {
    const parameters = buildParameters({ aligned });
    const pipeline = aligned ? "embed_face" : "detect_faces";
    const { outputs } = await this.transport.infer(pipeline, GRAY_PNG, parameters, deadline);
    return parseModelIds(outputs);
  }

  /** Run both models, because Triton's readiness check does not notice a dead Python stub. */
  private probe(): Promise<void> {
    return withDeadline(this.probeTimeoutMs, [this.closing.signal], async (deadline) => {
      for (let done = 0; done < PROBES; done++) {
        await this.inferProbe(deadline);
        await this.inferProbe(deadline, true);
      }
    });
  }

  /** Double the reset time of the next failure, unless the server stays healthy for a while. */
  private waitLongerNextTime(): void {
    const { options } = this.breaker as unknown as { options: { resetTimeout: number } };
    options.resetTimeout = Math.min(LONGEST_RESET_MS, 2 * options.resetTimeout);
    clearTimeout(this.relapse);
    this.relapse = setTimeout(() => {
      options.resetTimeout = this.resetTimeoutMs;
    }, RELAPSE_MS).unref();
  }
}
