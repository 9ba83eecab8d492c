/**
 * The errors of this client, as one tree, which the Python client shares:
 *
 *     AurumError
 *     ├── ClientClosedError        the client was closed before or during the call
 *     ├── ConnectionFailedError    no connection, or it was lost (retried)
 *     ├── RequestTimeoutError      no answer within the call's timeout
 *     ├── UnavailableError         the server is not ready or too busy (503; retried)
 *     │   └── RateLimitError       the gateway's limit for the key is reached (429; retried)
 *     ├── AccessDeniedError        the server rejects the credentials (401, 403)
 *     ├── ModelNotFoundError       the server has no such model: is it an Aurum server?
 *     ├── InvalidRequestError      the request was refused: an option is out of range
 *     │   ├── InvalidImageError    the image cannot be read or decoded
 *     │   ├── NoFaceError          there is no face in a photo that needs one
 *     │   └── LowQualityError      its face has a lower quality than `minQuality`
 *     ├── ModelMismatchError       the embeddings come from different models
 *     ├── ServerError              the server failed (500)
 *     └── ProtocolError            the answer breaks the API contract
 *
 * Invalid arguments (a timeout of -1) throw RangeError or TypeError. An aborted call rejects with
 * the reason of its signal.
 */

import { ID_HEADER, type ResponseInfo, retryAfter } from "./headers.js";

export interface ErrorDetails {
  /** The server's machine-readable reason ("invalid_image", "no_face", "low_quality", ...). */
  code?: string | undefined;
  /** The HTTP response, if there was one. */
  response?: ResponseInfo | undefined;
  cause?: unknown;
}

export class AurumError extends Error {
  /** The server's machine-readable reason, or null if it gave none. */
  readonly code: string | null;
  /** The HTTP status, or null if there was no answer. */
  readonly status: number | null;
  /** The HTTP response, or null if there was none. */
  readonly response: ResponseInfo | null;
  /** The id of the call in the server's logs and traces; null for errors of no call. */
  readonly requestId: string | null;

  constructor(message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = new.target.name;
    this.code = details.code ?? null;
    this.response = details.response ?? null;
    this.status = this.response?.status ?? null;
    this.requestId = this.response?.headers[ID_HEADER] ?? null;
  }

  /**
   * Milliseconds from now until the server wants another attempt, as its header Retry-After says;
   * null without it.
   */
  get retryAfterMs(): number | null {
    return retryAfter(this.response?.headers["retry-after"]);
  }

  /** Whether the same request may succeed on another attempt. */
  get retryable(): boolean {
    return false;
  }
}

/** The client was closed before or during the call. */
export class ClientClosedError extends AurumError {}

/** The connection failed, or was lost before the answer was complete. */
export class ConnectionFailedError extends AurumError {
  override get retryable(): boolean {
    return true;
  }
}

/** There was no answer within the call's timeout, retries included. */
export class RequestTimeoutError extends AurumError {}

/** The server can't answer now: it is starting, stopping or overloaded. */
export class UnavailableError extends AurumError {
  override get retryable(): boolean {
    return true;
  }
}

/** The key's calls exceed the gateway's limit, which is no sign of a sick server. */
export class RateLimitError extends UnavailableError {}

/** The server, or a gateway in front of it, rejected the client's credentials. */
export class AccessDeniedError extends AurumError {}

/** The server does not serve this model. */
export class ModelNotFoundError extends AurumError {}

/** The request was refused; the message names the option and the allowed range. */
export class InvalidRequestError extends AurumError {}

/** The image can't be read or decoded. */
export class InvalidImageError extends InvalidRequestError {}

/** There is no face in a photo that needs one (`embed` and `compare`). */
export class NoFaceError extends InvalidRequestError {}

/** The face's quality is below `minQuality`; the message names its worst part. */
export class LowQualityError extends InvalidRequestError {}

/** The embeddings come from different models, so their similarity would mean nothing. */
export class ModelMismatchError extends AurumError {}

/** The server failed while it processed the request. */
export class ServerError extends AurumError {}

/** The answer breaks the API contract: a tensor is missing, or has another type or shape. */
export class ProtocolError extends AurumError {}

/** The same error, with the id of its call, unless the server gave it one. */
export function withRequestId<E extends AurumError>(error: E, requestId: string) {
  return Object.assign(error, { requestId: error.requestId ?? requestId });
}

/** Whether another server, or a fallback, may answer the same request. */
export function isServersFault(error: unknown): error is AurumError {
  return (
    error instanceof AurumError &&
    !(
      error instanceof InvalidRequestError ||
      error instanceof ClientClosedError ||
      error instanceof ModelMismatchError
    )
  );
}
