"""The gateway's own error responses: JSON over HTTP, a status over gRPC."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

# gRPC's status codes (grpc/grpc, doc/statuscodes.md).
INVALID_ARGUMENT, DEADLINE_EXCEEDED, NOT_FOUND, RESOURCE_EXHAUSTED = 3, 4, 5, 8
UNIMPLEMENTED, INTERNAL, UNAVAILABLE, UNAUTHENTICATED = 12, 13, 14, 16


@dataclass(frozen=True)
class Refusal:
    """One error response; ``name`` is its location in the configuration, often the HTTP status."""

    name: str
    status: int  # of HTTP
    grpc: int
    code: str  # stable, for programs
    message: str
    headers: str = ""

    @property
    def text(self) -> str:
        """The code and the message, formatted like the service's own errors."""
        return f"[{self.code}] {self.message}"


def refusals(body_limit: int, json_limit: int, public: str) -> list[Refusal]:
    """Return all refusals; one whose name is a number replaces nginx's page for that status."""
    keyless = "an API key is needed: the header `Authorization: Bearer <key>`, with a valid key"
    large = f"the body must not exceed {body_limit} bytes"
    binary = (
        f"a body of JSON alone must not exceed {json_limit} bytes: send larger photos in binary, "
        f"behind the JSON or as the body itself, which may have {body_limit} bytes"
    )
    malformed = (
        "not a well-formed request: HTTP over TLS with one length, plain headers, and an "
        "Inference-Header-Content-Length that is a number; or one uncompressed gRPC message"
    )
    header = "the request line or a header is too long"
    busy = "too many requests at once for this key"
    away = "no server can answer now"
    again = 'add_header Retry-After "1" always; '
    basic = 'add_header WWW-Authenticate "Bearer" always; '
    post = "inference is POST, health is GET"
    known = f"only {public} and health are served here"
    meant = (
        "not a request to these models: the JSON must be one object with one input, of shape [1] "
        "and datatype BYTES, with one string as its data or the bytes behind the JSON, and "
        "parameters of the right types"
    )
    empty = "health and ready requests must have no body"
    form = "gRPC here is POST over HTTP/2 with the Content-Type application/grpc"
    wait = "grpc-timeout must be 1 to 8 digits and one of the letters H, M, S, m, u, n"
    metadata = (
        "metadata whose name begins with grpc- or ends in -bin is not accepted, except what gRPC "
        "itself sends"
    )
    ours = (
        "the parameters x-request-id and x-aurum-... are reserved: send an id as the header or "
        "metadata X-Request-Id"
    )
    logged = "request ids are logged, so they must not contain control characters or API keys"
    packed = "Content-Encoding is not accepted: photos are already compressed"
    return [
        Refusal("400", 400, INVALID_ARGUMENT, "bad_request", malformed),
        Refusal("401", 401, UNAUTHENTICATED, "unauthenticated", keyless, basic),
        Refusal("404", 404, UNIMPLEMENTED, "not_found", known),
        Refusal("405", 405, UNIMPLEMENTED, "method_not_allowed", post),
        Refusal("408", 408, DEADLINE_EXCEEDED, "timeout", "the request arrived too slowly"),
        Refusal("413", 413, RESOURCE_EXHAUSTED, "too_large", large),
        Refusal("414", 414, INVALID_ARGUMENT, "bad_request", header),
        Refusal("415", 415, UNIMPLEMENTED, "unsupported", packed),
        Refusal("429", 429, UNAVAILABLE, "rate_limited", busy, again),
        Refusal("494", 431, INVALID_ARGUMENT, "bad_request", header),
        Refusal("497", 400, INVALID_ARGUMENT, "bad_request", "this port speaks TLS: use https://"),
        Refusal("500", 500, INTERNAL, "internal", "the gateway failed; its log says why"),
        Refusal("501", 501, UNIMPLEMENTED, "bad_request", "transfer encoding is not supported"),
        Refusal("502", 503, UNAVAILABLE, "unavailable", away, again),
        Refusal("503", 503, UNAVAILABLE, "unavailable", away, again),
        Refusal("504", 504, DEADLINE_EXCEEDED, "timeout", "the server took too long"),
        Refusal("505", 505, UNIMPLEMENTED, "bad_request", "this HTTP version is not supported"),
        Refusal("large_json", 413, RESOURCE_EXHAUSTED, "too_large", binary),
        Refusal("json", 400, INVALID_ARGUMENT, "bad_request", meant),
        Refusal("no_body", 413, RESOURCE_EXHAUSTED, "too_large", empty),
        Refusal("form", 415, INVALID_ARGUMENT, "unsupported", form),
        Refusal("timeout", 400, INVALID_ARGUMENT, "bad_request", wait),
        Refusal("metadata", 400, INVALID_ARGUMENT, "bad_request", metadata),
        Refusal("request_id", 400, INVALID_ARGUMENT, "bad_request", ours),
        Refusal("id", 400, INVALID_ARGUMENT, "bad_request", logged),
        Refusal("model", 404, NOT_FOUND, "not_found", known),
    ]


def pages(table: list[Refusal]) -> str:
    """nginx directives that send its own errors to :func:`locations`, of the asker's protocol."""
    # nginx has one status for a server that is too slow and for one whose address is dead.
    target = {"504": "$timed_out"}
    return joined(
        f"error_page {item.name} = /_gateway/$speaks/{target.get(item.name, item.name)};"
        for item in table
        if item.name.isdigit()
    )


def locations(table: list[Refusal]) -> str:
    """Return the internal locations that send the error responses.

    They have paths, not names ("@..."): nginx can't redirect to a named location before it has
    read a path. A gRPC response without messages is HTTP 200 with the status in its headers
    ("Trailers-Only", grpc/grpc, doc/PROTOCOL-HTTP2.md).
    """
    lines = []
    for item in table:
        # No body limit: over HTTP/2 nginx would check it again here, and answer in HTML.
        head = (
            "internal; client_max_body_size 0; add_header X-Request-Id $sane_request_id always; "
            + item.headers
        )
        lines += [
            f"location = /_gateway/http/{item.name} {{ {head}default_type application/json; "
            f'return {item.status} \'{{"error":"{item.text}"}}\'; }}',
            f"location = /_gateway/grpc/{item.name} {{ {head}default_type application/grpc; "
            f"add_header grpc-status {item.grpc} always; "
            f'add_header grpc-message "{item.text}" always; return 200 ""; }}',
        ]
    return joined(lines)


def joined(lines: Iterable[str]) -> str:
    """Join directives to indented lines of the configuration."""
    return "\n        ".join(lines)
