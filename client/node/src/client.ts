import type { EventEmitter } from "node:events";
import { checkFar, checkPrior } from "./calibration.js";
import { type CompareOptions, Comparison } from "./comparison.js";
import type { FaceOptions, Pipeline, Source } from "./contract.js";
import { withDeadline } from "./deadline.js";
import { type BreakerOptions, Endpoint } from "./endpoint.js";
import { AurumError, ClientClosedError, InvalidRequestError, isServersFault } from "./errors.js";
import { type Counters, FallbackChain, type FallbackEvents } from "./fallback-chain.js";
import { HttpTransport } from "./http.js";
import { type Image, readImage } from "./images.js";
import type { InferenceSource } from "./inference-source.js";
import { LocalFallback, type LocalOptions } from "./local/fallback.js";
import { checkCallNames, checkClientNames } from "./names.js";
import { parseAnalysis, parseEmbedding, parseFaces } from "./parse.js";
import type { Analysis, Embedding, Faces, Health, ModelInfo } from "./results.js";
import { SimulatedFallback } from "./simulated.js";
import { TritonSource } from "./triton.js";

export interface FaceClientOptions {
  /** Servers, the preferred first: http(s)://host:port. Default: http://127.0.0.1:8000. */
  urls?: string | readonly string[] | undefined;
  /** Milliseconds that a call may take on each source, retries included. Default: 10000. */
  timeoutMs?: number | undefined;
  /** Retries on each server after lost connections and 503. Default: 2. */
  retries?: number | undefined;
  /** HTTP headers, sent with every request. */
  headers?: Record<string, string> | undefined;
  /** Replaces the global fetch: for proxies or private certificates. */
  fetch?: typeof fetch | undefined;
  breaker?: BreakerOptions | undefined;
  /** The first fallback: the served graphs in this process. Off by default. */
  local?: LocalOptions | undefined;
  /** The last fallback: made-up answers, with scores up to `maxConfidence`. Off by default. */
  simulated?: { maxConfidence?: number | undefined } | undefined;
  /** false: use neither the servers nor the local graphs. Default: true. */
  useRealMl?: boolean | undefined;
}

export interface CallOptions {
  /** Overrides the client's `timeoutMs` for this call. */
  timeoutMs?: number | undefined;
  /** Identifies the call in the server's logs and traces. */
  requestId?: string | undefined;
  /** Aborts the call, which then rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
}

export type DetectOptions = CallOptions & Omit<FaceOptions, "aligned" | "minQuality">;
export type AnalyzeOptions = CallOptions & Omit<FaceOptions, "aligned">;
export type EmbedOptions = CallOptions & Omit<FaceOptions, "maxFaces">;
export type AnalyzeManyOptions = AnalyzeOptions & {
  /** Images analyzed at the same time. Default: 8. */
  concurrency?: number | undefined;
  /** Called after each image. An error that it throws rejects the call. */
  progress?: ((done: number, of: number) => void) | undefined;
};

const DEFAULT_URL = "http://127.0.0.1:8000";

/** Finds, embeds and compares faces, on Triton servers or by the fallbacks behind them. */
export class FaceClient {
  private readonly endpoints: readonly Endpoint[];
  private readonly local: LocalFallback | null;
  private readonly simulated: SimulatedFallback | null;
  private readonly chain: FallbackChain;
  private readonly timeoutMs: number;
  private readonly closing = new AbortController();

  /** @throws RangeError: an option is unknown or has an invalid value. */
  constructor(options: FaceClientOptions = {}) {
    checkClientNames(options);
    const { urls = DEFAULT_URL, timeoutMs = 10_000, retries = 2, useRealMl = true } = options;
    checkNumber("timeoutMs", timeoutMs, timeoutMs > 0);
    checkNumber("retries", retries, Number.isSafeInteger(retries) && retries >= 0);
    this.timeoutMs = timeoutMs;
    const list = typeof urls === "string" ? [urls] : urls;
    if (list.length === 0) throw new RangeError("urls is empty: name at least one server");
    const transports = list.map((url) => new HttpTransport(url, options));
    const maxConfidence = options.simulated?.maxConfidence ?? 0.5;
    checkNumber("simulated.maxConfidence", maxConfidence, maxConfidence >= 0 && maxConfidence <= 1);
    this.simulated = options.simulated ? new SimulatedFallback(maxConfidence) : null;
    if (!useRealMl && !this.simulated) {
      throw new RangeError("useRealMl is false and simulated answers are off: no source is left");
    }
    const changed = () => this.chain.update();
    this.endpoints = useRealMl
      ? transports.map((transport) => new Endpoint(transport, options.breaker ?? {}, changed))
      : [];
    this.local =
      useRealMl && options.local ? new LocalFallback(options.local, timeoutMs, changed) : null;
    const fallbacks = [this.local, this.simulated].filter((fallback) => fallback !== null);
    const servers = new TritonSource(this.endpoints, timeoutMs, retries, fallbacks.length > 0);
    this.chain = new FallbackChain(useRealMl ? [servers, ...fallbacks] : fallbacks);
  }

  /** Emits answers, fallbacks and switches. */
  get events(): EventEmitter<FallbackEvents> {
    return this.chain.events;
  }

  /** Counts answers, fallbacks and switches. */
  get counters(): Readonly<Counters> {
    return this.chain.counters;
  }

  /** The source that the next call starts with; null if none is usable. */
  get mode(): Source | null {
    return this.chain.mode;
  }

  /** Find the faces: boxes, five landmarks each, scores. No face is a valid result. */
  async detect(image: Image, options: DetectOptions = {}): Promise<Faces> {
    return this.infer("detect_faces", image, options, parseFaces);
  }

  /** Find the faces, embed each, and assess how suitable each is for recognition. */
  async analyze(image: Image, options: AnalyzeOptions = {}): Promise<Analysis> {
    return this.infer("analyze_faces", image, options, parseAnalysis);
  }

  /**
   * Embed the largest face; with `aligned`, the image is an aligned crop already.
   *
   * @throws NoFaceError: there is no face in the image.
   * @throws LowQualityError: its quality is below `minQuality`.
   */
  async embed(image: Image, options: EmbedOptions = {}): Promise<Embedding> {
    return this.infer("embed_face", image, options, parseEmbedding);
  }

  /**
   * Embed the largest face of each image, in parallel, and compare the two.
   *
   * @throws ModelMismatchError: the embedders differ, or only one answer is simulated.
   * @throws NoFaceError, LowQualityError, InvalidImageError: the message says for which image.
   */
  async compare(
    a: Image,
    b: Image,
    options: EmbedOptions & CompareOptions = {},
  ): Promise<Comparison> {
    const { far, prior, ...rest } = options;
    if (far !== undefined) checkFar(far);
    checkPrior(prior);
    const other = new AbortController();
    const signals = [other.signal, ...(rest.signal ? [rest.signal] : [])];
    const embed = async (image: Image, index: number) => {
      try {
        const call = { ...rest, requestId: numbered(rest.requestId, index) };
        return await this.infer("embed_face", image, call, parseEmbedding, signals);
      } catch (error) {
        other.abort(error); // the other answer is useless now
        if (error instanceof InvalidRequestError) {
          error.message += ` (in the ${index ? "second" : "first"} image of compare())`;
        }
        throw error;
      }
    };
    const [first, second] = await Promise.all([embed(a, 0), embed(b, 1)]);
    return Comparison.between(first, second, { far, prior });
  }

  /**
   * Analyze many images, `concurrency` at a time, and return the results in the same order. If an
   * image fails, its error takes the place of its result.
   */
  async analyzeMany(
    images: Iterable<Image>,
    options: AnalyzeManyOptions = {},
  ): Promise<(Analysis | AurumError)[]> {
    this.checkOpen();
    const { concurrency = 8, progress, ...rest } = options;
    checkNumber("concurrency", concurrency, Number.isSafeInteger(concurrency) && concurrency > 0);
    const todo = [...images];
    const answers = new Array<Analysis | AurumError>(todo.length);
    const queue = todo.entries();
    const stop = new AbortController();
    const signals = [stop.signal, ...(rest.signal ? [rest.signal] : [])];
    let done = 0;
    // The workers share the iterator: each takes the next image when it is done.
    const work = async () => {
      for (const [index, image] of queue) {
        const call = { ...rest, requestId: numbered(rest.requestId, index) };
        try {
          answers[index] = await this.infer("analyze_faces", image, call, parseAnalysis, signals);
        } catch (error) {
          if (!(error instanceof AurumError)) throw error;
          answers[index] = error;
        }
        progress?.(++done, todo.length);
      }
    };
    try {
      await Promise.all(Array.from({ length: Math.min(concurrency, todo.length) }, work));
    } catch (error) {
      stop.abort(error); // nobody waits for the other answers
      throw error;
    }
    return answers;
  }

  /** Check all sources, each server with a real inference; nothing is retried. */
  async health(options: Pick<CallOptions, "timeoutMs" | "signal"> = {}): Promise<Health> {
    this.checkOpen();
    const endpoints = await withDeadline(
      options.timeoutMs ?? this.timeoutMs,
      this.signals(options.signal),
      (deadline) => Promise.all(this.endpoints.map((endpoint) => endpoint.health(deadline))),
    );
    return {
      ok: endpoints.some(({ live, ready, latencyMs }) => live && ready && latencyMs !== null),
      mode: this.mode,
      endpoints,
      local: (await this.local?.health()) ?? null,
      simulated: this.simulated !== null,
    };
  }

  /** Describe the public models of the first server that answers. */
  async models(options: Pick<CallOptions, "timeoutMs" | "signal"> = {}): Promise<ModelInfo[]> {
    this.checkOpen();
    let failure: unknown = new RangeError("useRealMl is false: there is no server to ask");
    for (const endpoint of this.endpoints) {
      try {
        return await withDeadline(
          options.timeoutMs ?? this.timeoutMs,
          this.signals(options.signal),
          (deadline) => endpoint.models(deadline),
        );
      } catch (error) {
        if (!isServersFault(error)) throw error;
        failure = error;
      }
    }
    throw failure;
  }

  /** Wait until the local fallback is loaded, if there is one; health() reports its failure. */
  async warmUp(): Promise<void> {
    await this.local?.loaded;
  }

  /** Reject pending calls (ClientClosedError), stop all timers and threads. Idempotent. */
  async close(): Promise<void> {
    this.closing.abort(new ClientClosedError("the client is closed"));
    await this.chain.close();
  }

  private async infer<T>(
    pipeline: Pipeline,
    image: Image,
    options: CallOptions & FaceOptions,
    parse: (outputs: Awaited<ReturnType<InferenceSource["infer"]>>, source: Source) => T,
    signals: readonly AbortSignal[] = options.signal ? [options.signal] : [],
  ): Promise<T> {
    this.checkOpen();
    checkCallNames(options);
    if (options.timeoutMs !== undefined) {
      checkNumber("timeoutMs", options.timeoutMs, options.timeoutMs > 0);
    }
    const { outputs, source } = await this.chain.infer({
      pipeline,
      image: await readImage(image),
      options,
      requestId: options.requestId,
      timeoutMs: options.timeoutMs,
      signals: [this.closing.signal, ...signals],
    });
    return parse(outputs, source);
  }

  private signals(signal: AbortSignal | undefined): AbortSignal[] {
    return signal ? [this.closing.signal, signal] : [this.closing.signal];
  }

  private checkOpen(): void {
    this.closing.signal.throwIfAborted();
  }
}

function checkNumber(name: string, value: number, allowed: boolean): void {
  if (!allowed || !Number.isFinite(value)) throw new RangeError(`${name}=${value} is not allowed`);
}

function numbered(requestId: string | undefined, index: number): string | undefined {
  return requestId === undefined ? undefined : `${requestId}-${index}`;
}
