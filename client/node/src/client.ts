import type { EventEmitter } from "node:events";
import { Activity, type Counters, type FallbackEvents } from "./activity.js";
import { checkFar, checkPrior } from "./calibration.js";
import {
  type CallOptions,
  checkCall,
  checkNumber,
  checkWhole,
  numbered,
  requestIdOf,
} from "./call.js";
import { type CompareOptions, Comparison } from "./comparison.js";
import type { FaceOptions, Pipeline, Source } from "./contract.js";
import { withDeadline } from "./deadline.js";
import { type BreakerOptions, Endpoint } from "./endpoint.js";
import {
  AurumError,
  ClientClosedError,
  InvalidRequestError,
  isServersFault,
  withRequestId,
} from "./errors.js";
import { FallbackChain } from "./fallback-chain.js";
import { ID_HEADER, type RequestHeaders } from "./headers.js";
import { HttpTransport } from "./http.js";
import { type Image, readImage } from "./images.js";
import { LocalFallback, type LocalOptions } from "./local/fallback.js";
import { inParallel } from "./many.js";
import { checkCallNames, checkClientNames } from "./names.js";
import { type Origin, parseAnalysis, parseEmbedding, parseFaces } from "./parse.js";
import type { Analysis, Embedding, Faces, Health, ModelInfo } from "./results.js";
import { SimulatedFallback } from "./simulated.js";
import type { Outputs } from "./tensors.js";
import { TritonSource } from "./triton.js";

export interface FaceClientOptions {
  /** Servers, the preferred first: http(s)://host:port. Default: http://127.0.0.1:8000. */
  urls?: string | readonly string[] | undefined;
  /** Milliseconds that a call may take on each source, retries included. Default: 10000. */
  timeoutMs?: number | undefined;
  /** Retries on each server after lost connections and 503. Default: 2. */
  retries?: number | undefined;
  /** HTTP headers, sent with every request. */
  headers?: RequestHeaders | undefined;
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

export type DetectOptions = CallOptions & Omit<FaceOptions, "aligned" | "minQuality">;
export type AnalyzeOptions = CallOptions & Omit<FaceOptions, "aligned">;
export type EmbedOptions = CallOptions & Omit<FaceOptions, "maxFaces">;
export type AnalyzeEachOptions = AnalyzeOptions & {
  /** Images analyzed at the same time, or waiting to be taken. Default: 8. */
  concurrency?: number | undefined;
};
export type AnalyzeManyOptions = AnalyzeEachOptions & {
  /**
   * Called after each image. An error that it throws rejects the call. `of` is the number of images:
   * of an array's, or of those read so far.
   */
  progress?: ((done: number, of: number) => void) | undefined;
};

/** The images of `analyzeEach` and `analyzeMany`. */
export type Images = Iterable<Image> | AsyncIterable<Image>;

/** One result of `analyzeEach`; `index` is the image's position, counted from 0. */
export type AnalyzedImage = { index: number; image: Image } & (
  | { analysis: Analysis; error: null }
  | { analysis: null; error: AurumError }
);

interface CallContext {
  requestId: string;
  signals: readonly AbortSignal[];
}

const DEFAULT_URL = "http://127.0.0.1:8000";

/** Finds, embeds and compares faces, on Triton servers or by the fallbacks behind them. */
export class FaceClient {
  private readonly endpoints: readonly Endpoint[];
  private readonly local: LocalFallback | null;
  private readonly simulated: SimulatedFallback | null;
  private readonly activity = new Activity();
  private readonly chain: FallbackChain;
  private readonly timeoutMs: number;
  private readonly closing = new AbortController();

  /** @throws RangeError: an option is unknown or has an invalid value. */
  constructor(options: FaceClientOptions = {}) {
    checkClientNames(options);
    const { urls = DEFAULT_URL, timeoutMs = 10_000, retries = 2, useRealMl = true } = options;
    checkNumber("timeoutMs", timeoutMs, timeoutMs > 0);
    checkWhole("retries", retries, 0);
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
    const missing = (error: AurumError) => this.activity.unavailable({ source: "local", error });
    this.local =
      useRealMl && options.local
        ? new LocalFallback(options.local, timeoutMs, changed, missing)
        : null;
    const fallbacks = [this.local, this.simulated].filter((fallback) => fallback !== null);
    const servers = new TritonSource(
      this.endpoints,
      { timeoutMs, retries, hasFallback: fallbacks.length > 0 },
      this.activity,
    );
    this.chain = new FallbackChain(useRealMl ? [servers, ...fallbacks] : fallbacks, this.activity);
  }

  /** Emits answers, retries, fallbacks, failures and switches, for logs and metrics. */
  get events(): EventEmitter<FallbackEvents> {
    return this.activity.events;
  }

  /** Counts answers, retries, fallbacks, failures and switches. */
  get counters(): Readonly<Counters> {
    return this.activity.counters;
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
    checkCall(rest);
    const id = requestIdOf(rest);
    const embed = async (image: Image, index: number) => {
      try {
        const context = { requestId: numbered(id, index), signals };
        return await this.infer("embed_face", image, rest, parseEmbedding, context);
      } catch (error) {
        if (other.signal.aborted) throw error; // by the other image
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
   * Analyze many images and return the results in the same order. If an image fails, its error takes
   * the place of its result.
   */
  async analyzeMany(
    images: Images,
    options: AnalyzeManyOptions = {},
  ): Promise<(Analysis | AurumError)[]> {
    const { progress, ...rest } = options;
    const answers: (Analysis | AurumError)[] = [];
    let read = 0;
    let done = 0;
    const started = () => read++;
    for await (const { index, analysis, error } of this.analyses(images, rest, started)) {
      answers[index] = analysis ?? error;
      progress?.(++done, Array.isArray(images) ? images.length : read);
    }
    return answers;
  }

  /**
   * Analyze many images, from any iterable or stream of them, and yield the results as they come.
   *
   * At most `concurrency` images are in work or wait to be taken: a slow consumer slows down the
   * source. Leaving the loop aborts the calls in work.
   *
   * @throws ClientClosedError: the client was closed.
   */
  async *analyzeEach(
    images: Images,
    options: AnalyzeEachOptions = {},
  ): AsyncGenerator<AnalyzedImage, void, undefined> {
    for await (const analyzed of this.analyses(images, options)) {
      if (analyzed.error instanceof ClientClosedError) throw analyzed.error;
      yield analyzed;
    }
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

  /**
   * Wait until the local fallback is loaded, if there is one.
   *
   * @throws UnavailableError: it can't be used; the message says what is missing.
   */
  async warmUp(): Promise<void> {
    this.checkOpen();
    await this.local?.warmUp();
  }

  /** Reject pending calls (ClientClosedError), stop all timers and threads. Idempotent. */
  async close(): Promise<void> {
    this.closing.abort(new ClientClosedError("the client is closed"));
    await this.chain.close();
  }

  private async *analyses(
    images: Images,
    options: AnalyzeEachOptions,
    started: () => void = () => {},
  ): AsyncGenerator<AnalyzedImage, void, undefined> {
    this.checkOpen();
    const { concurrency = 8, ...rest } = options;
    checkWhole("concurrency", concurrency, 1);
    checkCallNames(rest);
    checkCall(rest);
    const id = requestIdOf(rest);
    const stop = new AbortController();
    const signals = [stop.signal, ...(rest.signal ? [rest.signal] : [])];
    const analyze = async (image: Image, index: number): Promise<AnalyzedImage> => {
      started();
      try {
        const context = { requestId: numbered(id, index), signals };
        const analysis = await this.infer("analyze_faces", image, rest, parseAnalysis, context);
        return { index, image, analysis, error: null };
      } catch (error) {
        if (!(error instanceof AurumError)) throw error;
        return { index, image, analysis: null, error };
      }
    };
    try {
      yield* inParallel(images, concurrency, analyze);
    } finally {
      stop.abort(); // nobody waits for the other answers
    }
  }

  private async infer<T>(
    pipeline: Pipeline,
    image: Image,
    options: CallOptions & FaceOptions,
    parse: (outputs: Outputs, origin: Origin) => T,
    context?: CallContext,
  ): Promise<T> {
    this.checkOpen();
    checkCallNames(options);
    checkCall(options);
    const { timeoutMs, retries, headers, signal } = options;
    const requestId = context?.requestId ?? requestIdOf(options);
    const signals = this.signals(...(context?.signals ?? [signal]));
    try {
      const { outputs, source, response } = await this.chain.infer({
        pipeline,
        image: await readImage(image),
        options,
        requestId,
        timeoutMs,
        retries,
        headers,
        signals,
      });
      return parse(outputs, {
        source,
        requestId: response?.headers[ID_HEADER] ?? requestId,
        response,
      });
    } catch (error) {
      const aborted = signals.some(({ reason }) => reason === error);
      if (error instanceof AurumError && !aborted) {
        const failure = withRequestId(error, requestId);
        this.activity.failure({ pipeline, requestId: failure.requestId, error });
      }
      throw error;
    }
  }

  private signals(...signals: (AbortSignal | undefined)[]): AbortSignal[] {
    return [this.closing.signal, ...signals.filter((signal) => signal !== undefined)];
  }

  private checkOpen(): void {
    this.closing.signal.throwIfAborted();
  }
}
