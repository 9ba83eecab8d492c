/** Triton's HTTP protocol for one server, over `fetch`, which keeps connections open. */

import { brief } from "./brief.js";
import type { Parameters } from "./contract.js";
import type { Deadline } from "./deadline.js";
import { AurumError, ConnectionFailedError, ProtocolError } from "./errors.js";
import { errorFromResponse } from "./failures.js";
import {
  checkHeaders,
  ID_HEADER,
  merged,
  type RequestHeaders,
  type ResponseInfo,
} from "./headers.js";
import type { Inference, InferenceRequest } from "./inference-source.js";
import { decodeResponse, encodeRequest, HEADER_LENGTH } from "./tensors.js";

/** Longer messages of servers, which may repeat what was sent, are cut. */
const LONGEST_REASON = 500;

export interface HttpOptions {
  /** Sent with every request. */
  headers?: RequestHeaders | undefined;
  /** Replaces the global fetch: for proxies, private certificates or another connection pool. */
  fetch?: typeof fetch | undefined;
}

export class HttpTransport {
  readonly url: string;

  /** @throws RangeError: `url` is not [http(s)://]host[:port][/prefix], or a header is not valid. */
  constructor(
    url: string,
    private readonly options: HttpOptions = {},
  ) {
    this.url = normalize(url);
    checkHeaders(options.headers);
  }

  async infer(
    model: string,
    image: Uint8Array,
    parameters: Parameters,
    deadline: Deadline,
    { requestId, headers }: Pick<InferenceRequest, "requestId" | "headers"> = {},
  ): Promise<Inference & { response: ResponseInfo }> {
    const { body, headerLength } = encodeRequest(image, parameters, requestId);
    const id: RequestHeaders = requestId === undefined ? {} : { [ID_HEADER]: requestId };
    const { response, body: answer } = await this.send(`v2/models/${model}/infer`, deadline, {
      method: "POST",
      body,
      headers: merged(this.options.headers, headers, id, {
        "content-type": "application/octet-stream",
        [HEADER_LENGTH]: String(headerLength),
      }),
    });
    const length = response.headers[HEADER_LENGTH];
    const outputs = decodeResponse(answer, length === undefined ? undefined : Number(length));
    return { outputs, response };
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
    init: RequestInit = { headers: merged(this.options.headers) },
  ): Promise<{ response: ResponseInfo; body: ArrayBuffer }> {
    deadline.check();
    const send = this.options.fetch ?? fetch;
    try {
      const response = await send(`${this.url}/${path}`, {
        ...init,
        redirect: "manual", // following a redirect could leak the credentials
        signal: deadline.signal,
      });
      const body = await response.arrayBuffer();
      const { status } = response;
      const info = { url: this.url, status, headers: Object.fromEntries(response.headers) };
      if (status === 200) return { response: info, body };
      throw errorFromResponse(info, reasonIn(body));
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
    throw new RangeError(`'${brief(text)}' is not the URL of a server, like http://localhost:8000`);
  }
  if (url.username || url.password) {
    // Not repeated: it would put the password into logs.
    throw new RangeError(`the URL of ${brief(url.host)} has a password: use headers instead`);
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw new RangeError(`'${brief(text)}': the scheme must be http or https`);
  }
  if (url.search || url.hash) {
    throw new RangeError(`'${brief(text)}' is not the URL of a server, like http://localhost:8000`);
  }
  return (url.origin + url.pathname).replace(/\/+$/, "");
}

function parseJson(body: ArrayBuffer): unknown {
  const text = new TextDecoder().decode(body);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ProtocolError(`not a response of Triton: ${brief(text)}`, { cause: error });
  }
}

/** The message in Triton's `{"error": "..."}`, or the start of a gateway's page. */
function reasonIn(body: ArrayBuffer): string {
  const text = new TextDecoder().decode(body);
  try {
    const { error } = JSON.parse(text) as { error?: unknown };
    if (typeof error === "string") return error.slice(0, LONGEST_REASON);
  } catch {
    // Not JSON: the text itself is the reason.
  }
  return text.trim().slice(0, LONGEST_REASON);
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
