"""The trial hub's proxy: configurable-http-proxy in Python, with WebSockets as kernels need them.

Version 0.4.0 hands on a browser's bytes as text, at which the server hangs up (each widget that
sends an array loses its kernel); drops the protocol that server and browser agreed on; and takes
no message of more than 10 MiB, which a CT is.
"""

from functools import partial

from configurable_http_proxy import configproxy, handlers
from configurable_http_proxy.cli import main

LARGEST = 2**30  # bytes of a message


class ProxyHandler(handlers.ProxyHandler):
    """Hands on what comes, as it comes."""

    max_message_size = LARGEST

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        """Agree to what the server behind agreed to."""
        return self.ws_client.selected_subprotocol

    def on_message(self, message: str | bytes) -> None:
        """Hand on bytes as bytes, text as text."""
        if self.ws_client:
            self.proxy.update_last_activity(self.target["prefix"])
            self.ws_client.write_message(message, binary=isinstance(message, bytes))


configproxy.ProxyHandler = ProxyHandler
handlers.websocket_connect = partial(handlers.websocket_connect, max_message_size=LARGEST)

if __name__ == "__main__":
    main()
