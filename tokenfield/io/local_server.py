"""Servers of pages on this machine: what they have in common is that they answer this machine alone."""

from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tokenfield.errors import UserError

HOST = "127.0.0.1"
TEXT = "text/plain; charset=utf-8"


class LocalHandler(BaseHTTPRequestHandler):
    """Refuses requests by another name than this machine's own. Bodies are not read, nor what follows them.

    A page elsewhere can give its own name this address (DNS rebinding) and would otherwise read what is here.
    """

    protocol_version = "HTTP/1.1"  # connections stay open: a drag is one conversation, a page dozens of requests
    timeout = 60

    def handle(self) -> None:
        """All requests of a connection, until it ends, however it ends."""
        with suppress(ConnectionError, TimeoutError):
            super().handle()

    def parse_request(self) -> bool:
        if not super().parse_request():
            return False
        if self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers:
            self.close_connection = True
        hosts = self.headers.get_all("Host", [])
        if len(hosts) == 1 and hosts[0].rsplit(":", 1)[0].lower() in (HOST, "localhost"):
            return True
        self.send_error(421, f"this server answers at {HOST} and localhost alone")
        return False

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What is no request, or cannot be answered, gets a line of text."""
        self.close_connection = True
        self.requestline, self.request_version = getattr(self, "requestline", ""), "HTTP/1.1"
        body = f"{message or HTTPStatus(code).phrase}\n".encode(errors="backslashreplace")
        with suppress(ConnectionError, TimeoutError):
            self.send_response(code)
            for header in {"Content-Type": TEXT, "Content-Length": str(len(body)), "Connection": "close"}.items():
                self.send_header(*header)
            self.end_headers()
            if getattr(self, "command", None) != "HEAD":
                self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Silence."""


def listening(handler: Callable[..., BaseHTTPRequestHandler], port: int) -> ThreadingHTTPServer:
    """A server of this machine alone that listens already; `serve_forever` answers.

    Port 0 takes a free one, which `server_port` says. Raises UserError for one that is taken or may not be used.
    """
    try:
        return ThreadingHTTPServer((HOST, port), handler)
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"cannot listen on {HOST}:{port}: {reason}; give another --port, or 0 for any") from error
