import type { FaceOptions, Pipeline, Source } from "./contract.js";
import type { Outputs } from "./tensors.js";

/** One call of a pipeline. */
export interface InferenceRequest {
  pipeline: Pipeline;
  image: Uint8Array;
  options: FaceOptions;
  requestId?: string | undefined;
  /** Overrides the source's own timeout. */
  timeoutMs?: number | undefined;
  /** The call rejects with the reason of the first of these signals that is aborted. */
  signals: readonly AbortSignal[];
}

/** A link of the fallback chain: answers requests with the same output tensors as the service. */
export interface InferenceSource {
  readonly source: Source;
  /** Whether a request sent now is likely to be answered. */
  readonly usable: boolean;
  infer(request: InferenceRequest): Promise<Outputs>;
  close(): Promise<void>;
}
