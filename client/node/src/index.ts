export type { Counters, FallbackEvents, LadderEvents } from "./activity.js";
export { Calibration, FARS, type Far } from "./calibration.js";
export type { CallOptions } from "./call.js";
export {
  type AnalyzedImage,
  type AnalyzeEachOptions,
  type AnalyzeManyOptions,
  type AnalyzeOptions,
  type DetectOptions,
  type EmbedOptions,
  FaceClient,
  type FaceClientOptions,
  type Images,
} from "./client.js";
export { type CompareOptions, Comparison, type Decision } from "./comparison.js";
export { optionsFromEnv } from "./config.js";
export {
  type FaceOptions,
  type Orientation,
  QUALITY_PARTS,
  type QualityPart,
  type Source,
} from "./contract.js";
export type { BreakerOptions } from "./endpoint.js";
export {
  AccessDeniedError,
  AurumError,
  ClientClosedError,
  ConnectionFailedError,
  InvalidImageError,
  InvalidRequestError,
  LowQualityError,
  ModelMismatchError,
  ModelNotFoundError,
  NoFaceError,
  ProtocolError,
  RateLimitError,
  RequestTimeoutError,
  ServerError,
  UnavailableError,
} from "./errors.js";
export type { RequestHeaders, ResponseInfo } from "./headers.js";
export type { Image } from "./images.js";
export type { LocalOptions } from "./local/fallback.js";
export {
  Analysis,
  AnalyzedFace,
  type Box,
  type BreakerState,
  Embedding,
  type EndpointHealth,
  Face,
  Faces,
  type Health,
  type ModelIds,
  type ModelInfo,
  type QualityParts,
  type TensorInfo,
} from "./results.js";
