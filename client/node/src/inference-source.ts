import type { FaceOptions, Pipeline, Source } from "./contract.js";
import type { RequestHeaders, ResponseInfo } from "./headers.js";
import type { Outputs } from "./tensors.js";

/** One call of a pipeline. */
export interface InferenceRequest {
  pipeline: Pipeline;
  image: Uint8Array;
  options: FaceOptions;
  requestId?: string | undefined;
  /** Overrides the source's own timeout. */
  timeoutMs?: number | undefined;
  /** Overrides the servers' retries. */
  retries?: number | undefined;
  /** More headers for the servers. */
  headers?: RequestHeaders | undefined;
  /** The call rejects with the reason of the first of these signals that is aborted. */
  signals: readonly AbortSignal[];
}

/** The answer of a source: the outputs, and the response of the server that sent them. */
export interface Inference {
  outputs: Outputs;
  response: ResponseInfo | null;
}

/** A link of the fallback chain: answers requests with the same output tensors as the service. */
export interface InferenceSource {
  readonly source: Source;
  /** Whether a request sent now is likely to be answered. */
  readonly usable: boolean;
  infer(request: InferenceRequest): Promise<Inference>;
  close(): Promise<void>;
}
