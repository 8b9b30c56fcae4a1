"""The build role's credentials, as a container of CodeBuild has them: an address that gives them.

So a build that has assumed another role and unsets its keys is the build role again, and
`credential_source = EcsContainer` works. The address is on the loopback: the one of a container,
169.254.170.2, is no laptop's to give, so AWS_CONTAINER_CREDENTIALS_FULL_URI stands for
AWS_CONTAINER_CREDENTIALS_RELATIVE_URI.
https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
"""

from __future__ import annotations

import contextlib
import functools
import hmac
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer

LIFE = 3600  # seconds, of what the account gives for a role


@contextlib.contextmanager
def served(credentials: Callable[[], dict[str, str]], role_arn: str) -> Iterator[dict[str, str]]:
    """Give a build's credentials to who knows the token; yield the variables that lead to them."""
    token, path = secrets.token_urlsafe(32), f"/v2/credentials/{secrets.token_urlsafe(16)}"

    @functools.lru_cache(1)
    def of_half(number: int) -> dict[str, str]:
        return credentials()

    def answer() -> bytes:
        number = int(2 * time.time() / LIFE)
        found, until = of_half(number), time.gmtime((number + 2) * LIFE / 2)
        names = {
            "RoleArn": role_arn,
            "AccessKeyId": found["AWS_ACCESS_KEY_ID"],
            "SecretAccessKey": found["AWS_SECRET_ACCESS_KEY"],
            "Token": found["AWS_SESSION_TOKEN"],
            "Expiration": time.strftime("%Y-%m-%dT%H:%M:%SZ", until),
        }
        return json.dumps(names).encode()

    class Handler(BaseHTTPRequestHandler):
        """Answers one path, and nobody who has not the token: no web page, no other user."""

        def do_GET(self) -> None:
            given = self.headers.get("Authorization", "").encode()
            host = f"127.0.0.1:{server.server_address[1]}"
            knows = hmac.compare_digest(given, token.encode()) and self.path == path
            if not knows or self.headers.get("Host") != host:
                self.send_error(403)
                return
            try:
                body = answer()
            except Exception as error:  # the account is gone: the build's own call says so
                self.send_error(500, type(error).__name__)
                return
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: the build's log is CodeBuild's."""

    # No HTTPServer: it asks a name server for its own name, which can take seconds.
    with ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}{path}"
        try:
            yield {
                "AWS_CONTAINER_CREDENTIALS_FULL_URI": url,
                "AWS_CONTAINER_AUTHORIZATION_TOKEN": token,
            }
        finally:
            server.shutdown()
