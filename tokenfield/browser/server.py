"""A web server for pages on this machine alone.

It isolates the page from others (COOP, COEP), which is what browsers ask for before WebAssembly gets threads.
"""

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tokenfield.errors import UserError

HOST = "127.0.0.1"
HEADERS = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp",
           "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}


class Handler(SimpleHTTPRequestHandler):
    """Files of one folder."""

    protocol_version = "HTTP/1.1"
    extensions_map = SimpleHTTPRequestHandler.extensions_map | {
        ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm", ".json": "application/json",
        ".onnx": "application/octet-stream",
    }

    def end_headers(self) -> None:
        for header in HEADERS.items():
            self.send_header(*header)
        super().end_headers()

    def list_directory(self, path: object) -> None:  # type: ignore[override]
        """Folders are not listed."""
        self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:
        """Silence: a page is dozens of requests."""


def server_of(folder: Path, port: int) -> ThreadingHTTPServer:
    """A server that listens already; `serve_forever` answers. Port 0 takes a free one, which `server_port` says.

    Raises UserError for a port that is taken or may not be used.
    """
    try:
        return ThreadingHTTPServer((HOST, port), partial(Handler, directory=str(folder)))
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"port {port} cannot be used ({reason}); give another one, or 0 for any free one") from error
