"""What stand-ins for archives share: a port of this machine's loopback, and a password."""

from __future__ import annotations

import base64
import contextlib
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

USER, PASSWORD, TOKEN = "reader", "s3cret-of-the-ward", "token-of-the-ward"


class Handler(BaseHTTPRequestHandler):
    """Answers in one piece, and says nothing on the screen."""

    protocol_version, wbufsize, disable_nagle_algorithm = "HTTP/1.1", -1, True

    def log_message(self, *_: object) -> None:
        """Nothing, on the screen."""

    def is_known(self) -> bool:
        """Whether who asks has the password or the token."""
        own = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        return self.headers.get("Authorization") in (f"Basic {own}", f"Bearer {TOKEN}")

    def body(self) -> bytes:
        """What came with the request."""
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def say(
        self, code: int, body: bytes = b"", kind: str = "application/json", **more: str
    ) -> None:
        self.send_response(code)
        for name, value in {"Content-Type": kind, "Content-Length": len(body), **more}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)


@contextlib.contextmanager
def serving_by(
    handler: type[BaseHTTPRequestHandler], context: ssl.SSLContext | None = None
) -> Iterator[int]:
    """A server, with TLS where a context is given; gives its port."""
    http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if context:
        http.socket = context.wrap_socket(http.socket, server_side=True)
    thread = threading.Thread(target=http.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield http.server_port
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
