"""An HTTP API at the account's own address: how it reads a request, and how far an answer goes."""

from __future__ import annotations

from urllib.parse import quote

from sandbox.account.http_server import Headers, Scope, Send, with_headers

PRINTABLE = bytes(range(0x21, 0x7F))
# What a browser would do to all that is at an address, whichever path says so.
BEYOND_A_PATH = (b"clear-site-data", b"service-worker-allowed", b"alt-svc")


def as_read(scope: Scope) -> Scope:
    """Return a request as an HTTP API reads it.

    Repeated headers are joined by commas, and a query that is not encoded is encoded.
    """
    headers: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        mark = b"; " if name == b"cookie" else b","
        headers[name] = headers[name] + mark + value if name in headers else value
    query = quote(scope["query_string"], safe=PRINTABLE).encode()
    return {**scope, "headers": [*headers.items()], "query_string": query}


def at_path(scope: Scope, prefix: str, host: str) -> Scope:
    """Return a request to an API's own host name in the form that needs no name."""
    headers = [(name, value) for name, value in scope["headers"] if name != b"host"]
    raw = scope.get("raw_path") or quote(scope["path"]).encode()
    return {
        **scope,
        "path": prefix + scope["path"],
        "raw_path": prefix.encode() + raw,
        "headers": [*headers, (b"host", host.encode())],
    }


def apart(send: Send, place: str) -> Send:
    """Return a `send` that keeps what a function answers apart from the rest of this address.

    On AWS the console has another name than an endpoint. Here they share one, and a page of the
    function would be a page of the console: https://www.w3.org/TR/CSP3/#directive-sandbox
    Whatever its type, as browsers guess; and a cookie stays below `place`, the path of the API.
    """

    def changed(headers: Headers) -> Headers:
        kept = [
            (name, below(value, place) if name.lower() == b"set-cookie" else value)
            for name, value in headers
            if name.lower() not in (*BEYOND_A_PATH, b"x-content-type-options")
        ]
        kept.append((b"content-security-policy", b"sandbox allow-scripts allow-forms"))
        kept.append((b"x-content-type-options", b"nosniff"))
        return kept

    return with_headers(send, changed)


def below(cookie: bytes, place: str) -> bytes:
    """Return a Set-Cookie with its path, if it names one, below another."""
    pair, *attributes = cookie.split(b";")
    named = [(each, *each.partition(b"=")[::2]) for each in attributes]
    others = [each for each, name, _ in named if name.strip().lower() != b"path"]
    paths = [value.strip() for _, name, value in named if name.strip().lower() == b"path"]
    if paths and paths[-1].startswith(b"/"):  # else a browser takes the path of the request
        others.insert(0, b" Path=" + place.encode() + paths[-1].rstrip(b"/"))
    return b";".join([pair, *others])
