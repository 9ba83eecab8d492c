/** Triton's HTTP protocol for one server, over `fetch`, which keeps connections open. */

import type { Parameters } from "./contract.js";
import type { Deadline } from "./deadline.js";
import { AurumError, ConnectionFailedError, ProtocolError } from "./errors.js";
import { errorFromStatus } from "./failures.js";
import { decodeResponse, encodeRequest, HEADER_LENGTH, type Outputs } from "./tensors.js";

export interface HttpOptions {
  /** Sent with every request. */
  headers?: Record<string, string> | undefined;
  /** Replaces the global fetch: for proxies, private certificates or another connection pool. */
  fetch?: typeof fetch | undefined;
}

export class HttpTransport {
  readonly url: string;

  /** @throws RangeError: `url` is not [http(s)://]host[:port][/prefix]. */
  constructor(
    url: string,
    private readonly options: HttpOptions = {},
  ) {
    this.url = normalize(url);
  }

  async infer(
    model: string,
    image: Uint8Array,
    parameters: Parameters,
    requestId: string | undefined,
    deadline: Deadline,
  ): Promise<Outputs> {
    const { body, headerLength } = encodeRequest(image, parameters, requestId);
    const response = await this.send(`v2/models/${model}/infer`, deadline, {
      method: "POST",
      body,
      headers: {
        "content-type": "application/octet-stream",
        [HEADER_LENGTH]: String(headerLength),
      },
    });
    const length = response.headers.get(HEADER_LENGTH);
    return decodeResponse(response.body, length === null ? undefined : Number(length));
  }

  /** Ask a health check: `live` or `ready` of the server, or `models/NAME/ready`. */
  async check(what: string, deadline: Deadline): Promise<boolean> {
    try {
      await this.send(`v2/${what.startsWith("models/") ? what : `health/${what}`}`, deadline);
      return true;
    } catch (error) {
      if (error instanceof AurumError && error.status !== null && error.status < 500) return false;
      throw error;
    }
  }

  /** Triton's metadata of a model. */
  async metadata(model: string, deadline: Deadline): Promise<unknown> {
    const { body } = await this.send(`v2/models/${model}`, deadline);
    return parseJson(body);
  }

  private async send(
    path: string,
    deadline: Deadline,
    init: RequestInit = {},
  ): Promise<{ headers: Headers; body: ArrayBuffer }> {
    deadline.check();
    const send = this.options.fetch ?? fetch;
    try {
      const response = await send(`${this.url}/${path}`, {
        ...init,
        headers: { ...this.options.headers, ...init.headers },
        redirect: "manual", // following a redirect could leak the credentials
        signal: deadline.signal,
      });
      const body = await response.arrayBuffer();
      if (response.status === 200) return { headers: response.headers, body };
      throw errorFromStatus(response.status, reasonIn(body));
    } catch (error) {
      if (error instanceof AurumError) throw error;
      deadline.check(error);
      throw fromFetch(error);
    }
  }
}

function normalize(text: string): string {
  let url: URL;
  try {
    url = new URL(text.includes("://") ? text : `http://${text}`);
  } catch {
    throw new RangeError(`'${text}' is not the URL of a server, like http://localhost:8000`);
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw new RangeError(`'${text}': the scheme must be http or https`);
  }
  if (url.search || url.hash || url.username || url.password) {
    throw new RangeError(`'${text}' is not the URL of a server, like http://localhost:8000`);
  }
  return (url.origin + url.pathname).replace(/\/+$/, "");
}

function parseJson(body: ArrayBuffer): unknown {
  const text = new TextDecoder().decode(body);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ProtocolError(`not a response of Triton: ${text.slice(0, 80)}`, { cause: error });
  }
}

/** The message in Triton's `{"error": "..."}`, or the start of a gateway's page. */
function reasonIn(body: ArrayBuffer): string {
  const text = new TextDecoder().decode(body);
  try {
    const { error } = JSON.parse(text) as { error?: unknown };
    if (typeof error === "string") return error;
  } catch {
    // Not JSON: the text itself is the reason.
  }
  return text.trim().slice(0, 200);
}

/** Convert an error of fetch, whose message is generic: the reason is in its cause. */
function fromFetch(error: unknown): AurumError {
  const cause = (error as { cause?: NodeJS.ErrnoException })?.cause;
  const code = cause?.code ?? "";
  const message = cause?.message || code || (error as Error).message;
  if (cause?.name === "HTTPParserError") {
    return new ProtocolError(`not a response of Triton: ${message}`, { cause: error });
  }
  return new ConnectionFailedError(message, { cause: error });
}
