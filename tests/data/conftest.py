"""Small made-up data files, and an https server on this machine that plays good and bad mirrors."""

import gzip
import hashlib
import os
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import trustme

from digits.data import local
from digits.data.download import Limits
from digits.data.files import DataFile, Part, PartFiles

def idx_bytes(values: np.ndarray) -> bytes:
    """The IDX file of a uint8 array, written from the format's description."""
    dimensions = b"".join(size.to_bytes(4, "big") for size in values.shape)
    return b"\0\0\x08" + bytes([values.ndim]) + dimensions + values.tobytes()


@dataclass
class SmallMnist:
    """A data set with MNIST's file names: 40 training and 20 test images."""

    files: dict[Part, PartFiles]
    unpacked: dict[str, bytes]
    packed: dict[str, bytes]

    def write(self, folder: Path, *, gzipped: bool) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in (self.packed if gzipped else self.unpacked).items():
            (folder / name).write_bytes(content)

    @property
    def train_images(self) -> DataFile:
        return self.files["train"].images


def small_mnist(label_values: int = 10) -> SmallMnist:
    random = np.random.RandomState(1)
    unpacked, packed = {}, {}

    def make(name: str, values: np.ndarray) -> DataFile:
        unpacked[name] = idx_bytes(values)
        packed[f"{name}.gz"] = gzip.compress(unpacked[name], mtime=0)
        return DataFile(
            name=name,
            shape=values.shape,
            sha256=hashlib.sha256(unpacked[name]).hexdigest(),
            gz_sha256=hashlib.sha256(packed[f"{name}.gz"]).hexdigest(),
            gz_bytes=len(packed[f"{name}.gz"]),
        )

    def part(prefix: str, size: int) -> PartFiles:
        images = random.randint(0, 256, (size, 28, 28)).astype(np.uint8)
        labels = (np.arange(size) % label_values).astype(np.uint8)
        labels[-1] = label_values - 1
        return PartFiles(
            make(f"{prefix}-images-idx3-ubyte", images), make(f"{prefix}-labels-idx1-ubyte", labels)
        )

    return SmallMnist({"train": part("train", 40), "test": part("t10k", 20)}, unpacked, packed)


@pytest.fixture(scope="session")
def small() -> SmallMnist:
    return small_mnist()


@pytest.fixture(scope="session")
def small_with_label_255() -> SmallMnist:
    return small_mnist(label_values=256)


@pytest.fixture(scope="session")
def limits() -> Limits:
    """Time-outs as short as a busy machine allows."""
    return Limits(connect_s=5, read_s=0.6, try_s=1.5, num_tries=2, pause_s=0.01, lock_s=30)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own, and no memory of what earlier tests verified."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("DIGITS_CACHE", str(folder))
    monkeypatch.setattr(local, "_known_good", set())
    monkeypatch.setattr(local, "_warned", set())
    return folder


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with the real MNIST files."""
    folder = os.environ.get("DIGITS_DATA")
    if not folder:
        pytest.skip("the environment variable DIGITS_DATA names no folder with the MNIST files")
    return Path(folder)


@dataclass
class Mirrors:
    """The server: `mirrors("hang")` is the address of a mirror with that behaviour."""

    port: int = 0
    requests: Counter[str] = field(default_factory=Counter)
    release: threading.Event = field(default_factory=threading.Event)

    def __call__(self, *behaviours: str) -> tuple[str, ...]:
        return tuple(f"https://localhost:{self.port}/{name}/" for name in behaviours)


def _status(status: int) -> Callable[[BaseHTTPRequestHandler, bytes, Mirrors], None]:
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


def _redirect(target: str) -> Callable[[BaseHTTPRequestHandler, bytes, Mirrors], None]:
    def answer(handler: BaseHTTPRequestHandler, content: bytes, mirrors: Mirrors) -> None:
        name = handler.path.rpartition("/")[2]
        handler.send_response(302)
        handler.send_header("Location", target.format(port=mirrors.port) + name)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def _drip(handler: BaseHTTPRequestHandler, content: bytes, mirrors: Mirrors) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    for byte in content:
        handler.wfile.write(bytes([byte]))
        if mirrors.release.wait(0.1):
            return


def _drip_headers(handler: BaseHTTPRequestHandler, content: bytes, mirrors: Mirrors) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not mirrors.release.wait(0.1):
        handler.wfile.write(b"x")


def _flood(handler: BaseHTTPRequestHandler, content: bytes, mirrors: Mirrors) -> None:
    handler.send_response(200)
    handler.end_headers()
    while not mirrors.release.is_set():
        handler.wfile.write(bytes(1 << 16))


BEHAVIOURS: dict[str, Callable[[BaseHTTPRequestHandler, bytes, Mirrors], None]] = {
    "good": lambda handler, content, _: _send(handler, content),
    "slow": lambda handler, content, _: (time.sleep(0.1), _send(handler, content))[1],
    "403": _status(403),
    "503": _status(503),
    "hang": lambda _, __, mirrors: (mirrors.release.wait(30), None)[1],
    "drip": _drip,
    "drip-headers": _drip_headers,
    "flood": _flood,
    "html": lambda handler, _, __: _send(handler, b"<html>Log in!</html>", kind="text/html"),
    "cut": lambda handler, content, _: _send(
        handler, content[: len(content) // 2], length=len(content)
    ),
    "wrong": lambda handler, content, _: _send(handler, bytes(len(content))),
    "to-http": _redirect("http://localhost:{port}/good/"),
    "to-https": _redirect("https://localhost:{port}/good/"),
    "to-itself": _redirect("https://localhost:{port}/to-itself/"),
}


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    authority = trustme.CA()
    bundle = tmp_path_factory.mktemp("certificates") / "authority.pem"
    authority.cert_pem.write_to_path(str(bundle))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context, bundle


@pytest.fixture
def mirrors(
    small: SmallMnist,
    certificates: tuple[ssl.SSLContext, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Mirrors]:
    context, bundle = certificates
    state = Mirrors()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            behaviour, name = self.path.lstrip("/").split("/")
            state.requests[behaviour] += 1
            BEHAVIOURS[behaviour](self, small.packed[name], state)

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def finish_request(self, request: object, client_address: object) -> None:
            # The handshake happens here, in the request's own thread.
            with context.wrap_socket(request, server_side=True) as secured:
                self.RequestHandlerClass(secured, client_address, self)

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that gives up is what these tests are about."""

    server = Server(("localhost", 0), Handler)
    state.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    yield state
    state.release.set()
    server.shutdown()
    server.server_close()
