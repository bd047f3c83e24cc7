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
    release: threading.Event = field(default_factory=threading.Event)

    def __call__(self, *behaviours: str) -> None:
        self.choose([f"https://localhost:{self.port}/{name}/" for name in behaviours])


Behaviour = Callable[[BaseHTTPRequestHandler, bytes, Mirrors], None]


def _status(status: int) -> Behaviour:
    def answer(handler: BaseHTTPRequestHandler, content: bytes, mirrors: Mirrors) -> None:
        _send(handler, b"sorry", status=status)

    return answer


def _send(
    handler: BaseHTTPRequestHandler,
    body: bytes,
    *,
    status: int = 200,
    length: int | None = None,
    kind: str = "application/gzip",
) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(body) if length is None else length))
    handler.end_headers()
    handler.wfile.write(body)


def _redirect_to_http(handler: BaseHTTPRequestHandler, content: bytes, mirrors: Mirrors) -> None:
    handler.send_response(302)
    handler.send_header("Location", f"http://localhost:{mirrors.port}{handler.path}")
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def _slow(handler: BaseHTTPRequestHandler, content: bytes, mirrors: Mirrors) -> None:
    time.sleep(0.1)
    _send(handler, content)


def _hang(handler: BaseHTTPRequestHandler, content: bytes, mirrors: Mirrors) -> None:
    mirrors.release.wait(30)


def _drip(handler: BaseHTTPRequestHandler, content: bytes, mirrors: Mirrors) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    while not mirrors.release.wait(0.01):
        handler.wfile.write(bytes(100))


BEHAVIOURS: dict[str, Behaviour] = {
    "good": lambda handler, content, _: _send(handler, content),
    "slow": _slow,
    "403": _status(403),
    "hang": _hang,
    "drip": _drip,
    "html": lambda handler, _, __: _send(handler, b"<html>Log in!</html>", kind="text/html"),
    "cut": lambda handler, content, _: _send(
        handler, content[: len(content) // 2], length=len(content)
    ),
    "wrong": lambda handler, content, _: _send(handler, bytes(len(content))),
    "to-http": _redirect_to_http,
}


@contextmanager
def serve(
    packed: dict[str, bytes], context: ssl.SSLContext, choose: Callable[[list[str]], None]
) -> Iterator[Mirrors]:
    """Serve files at `https://localhost:PORT/BEHAVIOUR/NAME` as long as the context lasts."""
    state = Mirrors(choose)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            behaviour, name = self.path.lstrip("/").split("/")
            state.requests[behaviour] += 1
            BEHAVIOURS[behaviour](self, packed[name], state)

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
    state.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield state
    finally:
        state.release.set()
        server.shutdown()
        server.server_close()
