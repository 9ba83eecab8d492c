import type { ErrorCode } from "./contract.js";
import {
  AccessDeniedError,
  type AurumError,
  InvalidImageError,
  InvalidRequestError,
  LowQualityError,
  ModelNotFoundError,
  NoFaceError,
  RateLimitError,
  RequestTimeoutError,
  ServerError,
  UnavailableError,
} from "./errors.js";
import type { ResponseInfo } from "./headers.js";

type Kind = typeof AurumError;

const BY_CODE: Record<ErrorCode, Kind> = {
  invalid_image: InvalidImageError,
  no_face: NoFaceError,
  low_quality: LowQualityError,
  invalid_parameter: InvalidRequestError,
  not_aligned: InvalidRequestError,
  unavailable: UnavailableError,
};

const BY_STATUS: Record<number, Kind> = {
  400: InvalidRequestError,
  401: AccessDeniedError,
  403: AccessDeniedError,
  404: ModelNotFoundError,
  408: RequestTimeoutError,
  413: InvalidRequestError, // the gateway's limit on the request body
  429: RateLimitError,
  502: UnavailableError, // the gateway can't reach the server
  503: UnavailableError,
  504: RequestTimeoutError,
};

// Triton puts the place of the error ("[request id: r-1] in ensemble 'analyze_faces', ") before the
// service's message, which starts with a code if a program can act on the reason.
const MESSAGE =
  /^(?:in ensemble '[^']*', |\[request id: [^\]]*\] )*(?:\[([a-z][a-z0-9_]*)\] )?(.*)$/s;

// Triton 2.51 reports temporary conditions as 404 or 500: models while it stops, and a model whose
// process died. An unknown model "is not found".
const TEMPORARY = /has no available versions|not (at )?ready|is not healthy|is stopping/;

/** Choose the error for an HTTP response with this message; the service's code takes precedence. */
export function errorFromResponse(response: ResponseInfo, message: string): AurumError {
  const { status } = response;
  const [, code, text] = MESSAGE.exec(message) ?? [];
  const Kind =
    (code && BY_CODE[code as ErrorCode]) ||
    ((status === 404 || status === 500) && TEMPORARY.test(message) && UnavailableError) ||
    BY_STATUS[status] ||
    ServerError;
  return new Kind(text || "the server gave no reason", { code, response });
}
