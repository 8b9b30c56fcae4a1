"""The loopback, on which everything here listens, and what may leave it."""

from __future__ import annotations

import functools
import os
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING

from sandbox import Mistake

if TYPE_CHECKING:
    import urllib.request

# What a program needs to reach a package registry from this network. Nothing else of the
# student's environment is passed on, and no value that could hold a password.
REGISTRY_VARIABLES = (
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "PIP_INDEX_URL",
    "UV_INDEX_URL",
    "UV_DEFAULT_INDEX",
    "http_proxy",
    "https_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
)
LOOPBACK_NAMES = "127.0.0.1,localhost"


@functools.cache
def direct() -> urllib.request.OpenerDirector:
    """Return what opens addresses of the loopback, without a proxy."""
    import urllib.request  # 25 ms that most commands need not wait for

    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


def way_to_registry() -> dict[str, str]:
    """Return the variables of this process that lead to a package registry."""
    return {
        name: os.environ[name]
        for name in REGISTRY_VARIABLES
        if name in os.environ and "@" not in os.environ[name]
    }


def refuse_foreign_endpoints(env: Mapping[str, str]) -> None:
    """Raise Mistake if a variable would send AWS calls beyond the loopback."""
    for name, value in env.items():
        if name.startswith("AWS_ENDPOINT_URL") and value and not is_loopback(value):
            raise Mistake(
                f"{name} is {value!r}; the sandbox talks to an address on this machine only",
                f"type `unset {name}` and try again",
            )


def is_loopback(url: str) -> bool:
    """Tell whether a URL names this machine's loopback."""
    import ipaddress
    from urllib.parse import urlsplit

    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def free_port(wanted: int) -> int:
    """Return the wanted port if nothing listens there, else one that the system gives."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                return int(probe.getsockname()[1])
            except OSError:
                continue
    raise Mistake(
        "no free port on 127.0.0.1", "close some programs and type `python3 -m sandbox up`"
    )
