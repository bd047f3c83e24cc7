"""An https server on this machine that plays good and bad mirrors."""

import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Mirrors:
    """The server: `mirrors("hang", "good")` makes torchvision know two with that behaviour."""

    choose: Callable[[list[str]], None]
    port: int = 0
    requests: Counter[str] = field(default_factory=Counter)
    closing: threading.Event = field(default_factory=threading.Event)

    def __call__(self, *behaviours: str) -> None:
        self.choose([f"https://localhost:{self.port}/{name}/" for name in behaviours])


@contextmanager
def serve(
    packed: dict[str, bytes], context: ssl.SSLContext, choose: Callable[[list[str]], None]
) -> Iterator[Mirrors]:
    """Serve files at `https://localhost:PORT/BEHAVIOUR/NAME` as long as the context lasts."""
    mirrors = Mirrors(choose)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            behaviour, name = self.path.lstrip("/").split("/")
            mirrors.requests[behaviour] += 1
            content = packed[name]
            match behaviour:
                case "good":
                    self.answer(content)
                case "slow":
                    time.sleep(0.1)
                    self.answer(content)
                case "403":
                    self.answer(b"sorry", status=403)
                case "html":
                    self.answer(b"<html>Log in!</html>")
                case "cut":
                    self.answer(content[: len(content) // 2], length=len(content))
                case "hang":
                    mirrors.closing.wait(30)
                case "to-http":
                    self.answer(b"", status=302, Location=f"http://localhost:{mirrors.port}/good/")

        def answer(
            self, body: bytes, status: int = 200, length: int | None = None, **headers: str
        ) -> None:
            self.send_response(status)
            headers["Content-Length"] = str(len(body) if length is None else length)
            for header in headers.items():
                self.send_header(*header)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def finish_request(self, request: Any, client_address: Any) -> None:
            # The handshake happens here, in the request's own thread.
            with context.wrap_socket(request, server_side=True) as secured:
                Handler(secured, client_address, self)

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that gives up is what these tests are about."""

    server = Server(("localhost", 0), Handler)
    mirrors.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield mirrors
    finally:
        mirrors.closing.set()
        server.shutdown()
        server.server_close()
