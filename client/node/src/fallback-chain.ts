import type { Activity } from "./activity.js";
import type { Source } from "./contract.js";
import { type AurumError, isServersFault, UnavailableError } from "./errors.js";
import type { Inference, InferenceRequest, InferenceSource } from "./inference-source.js";
import { parseModelIds } from "./parse.js";
import type { Outputs } from "./tensors.js";

/** Sources from best to worst: each is asked only if the one before it failed by its own fault. */
export class FallbackChain {
  private current: Source | null;
  /** The embedder that the service last reported. */
  private servedEmbedder: string | null = null;

  constructor(
    private readonly sources: readonly InferenceSource[],
    private readonly activity: Activity,
  ) {
    this.current = this.mode;
  }

  /** The source that the next call starts with. */
  get mode(): Source | null {
    return this.sources.find(({ usable }) => usable)?.source ?? null;
  }

  /** Call this whenever a source became usable or unusable. */
  update(): void {
    const from = this.current;
    const to = this.mode;
    if (from === to) return;
    this.current = to;
    this.activity.switch({ from, to });
  }

  /**
   * Ask one source after the other.
   *
   * @throws the first source's error, with the others' messages appended, if all fail; or at once
   *   the error of a source that finds fault with the request.
   */
  async infer(request: InferenceRequest): Promise<Inference & { source: Source }> {
    const { pipeline, requestId = "" } = request;
    let failure: AurumError | undefined;
    for (const [index, candidate] of this.sources.entries()) {
      const { source } = candidate;
      const start = performance.now();
      try {
        const inference = await candidate.infer(request);
        this.checkEmbeddingSpace(source, inference.outputs);
        const ms = performance.now() - start;
        this.activity.answer({ source, pipeline, requestId, ms });
        return { ...inference, source };
      } catch (error) {
        if (!isServersFault(error)) throw error;
        if (failure === undefined) failure = error;
        else failure.message += `; then ${source}: ${error.message}`;
        const next = this.sources[index + 1];
        if (next) this.activity.fallback({ from: source, to: next.source, requestId, error });
      }
    }
    throw failure;
  }

  async close(): Promise<void> {
    await Promise.all(this.sources.map((source) => source.close()));
  }

  /** Local embeddings must be comparable with stored embeddings that the service made. */
  private checkEmbeddingSpace(source: Source, outputs: Outputs): void {
    if (source === "simulated") return;
    const { embedder } = parseModelIds(outputs);
    if (!embedder) return;
    if (source === "triton") this.servedEmbedder = embedder;
    else if (this.servedEmbedder && embedder !== this.servedEmbedder) {
      throw new UnavailableError(
        `the local embedder is ${embedder}, the service's is ${this.servedEmbedder}: ` +
          "they have different embedding spaces",
      );
    }
  }
}
