"""One try to download one file from one mirror: https only, and over by a deadline."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from digits.data.files import DataFile
from digits.data.progress import show_progress

if TYPE_CHECKING:
    from requests import Response

MAX_REDIRECTS = 5
_READ_BYTES = 1 << 16


@dataclass(frozen=True)
class Limits:
    """How long a download may take before it counts as failed.

    Attributes:
        connect_s: Seconds to wait for a connection.
        read_s: Seconds to wait for the next bytes of an answer.
        try_s: Seconds that one whole try may take, however steadily its bytes drip in.
        num_tries: Tries with one mirror. A mirror that was too slow is not tried again.
        pause_s: Seconds between two tries.
        lock_s: Seconds to wait for another process that downloads into the same folder.
    """

    connect_s: float = 5.0
    read_s: float = 10.0
    try_s: float = 120.0
    num_tries: int = 2
    pause_s: float = 0.5
    lock_s: float = 600.0


class TryError(Exception):
    """One try has failed, for the reason in the message."""

    def __init__(self, reason: str, *, retry: bool = False, too_slow: bool = False) -> None:
        """Say what came of the try.

        Args:
            reason: A few words, whose subject is the mirror.
            retry: Whether the same mirror may do better at once.
            too_slow: Whether a time-out or the deadline ended it.
        """
        super().__init__(reason)
        self.retry = retry
        self.too_slow = too_slow


def download(url: str, file: DataFile, limits: Limits) -> bytes:
    """Download a published .gz file into memory, with its progress on stderr.

    Args:
        url: Address of the .gz file.
        file: The file that is expected there.
        limits: When to give up.

    Returns:
        As many bytes as the published file has; whether they are the right ones is not checked.

    Raises:
        TryError: For every fault of the network or the mirror, at most `limits.try_s` seconds
            after the call.
    """
    deadline = time.monotonic() + limits.try_s
    outcome: queue.SimpleQueue[bytes | Exception] = queue.SimpleQueue()

    with show_progress(url, file) as advance:

        def run() -> None:
            try:
                outcome.put(_get(url, file.gz_bytes, limits, deadline, advance))
            except Exception as error:
                outcome.put(error)

        # Looking up a name, shaking hands and reading headers know no deadline, only a time-out
        # for each packet. So a thread does the work, and is left to end by itself if it is late.
        threading.Thread(target=run, name=f"download {url}", daemon=True).start()
        try:
            result = outcome.get(timeout=limits.try_s)
        except queue.Empty:
            result = _too_slow(limits)
    if isinstance(result, TryError):
        raise result
    if isinstance(result, Exception):
        raise _explain(result, limits) from result
    return result


def _get(
    url: str, num_bytes: int, limits: Limits, deadline: float, advance: Callable[[int], None]
) -> bytes:
    import requests

    with requests.Session() as session:
        # Redirects are followed here, because requests would follow one from https to http.
        for hop in range(MAX_REDIRECTS + 1):
            if urlsplit(url).scheme != "https":
                what = "redirects to" if hop else "is"
                raise TryError(f"{what} {url}, which is not https")
            response = session.get(
                url,
                stream=True,
                allow_redirects=False,
                timeout=(limits.connect_s, limits.read_s),
                headers={"Accept-Encoding": "identity"},
            )
            if not response.is_redirect:
                break
            response.close()
            url = urljoin(url, response.headers["Location"])
        else:
            raise TryError(f"redirects more than {MAX_REDIRECTS} times")
        with response:
            return _body(response, num_bytes, limits, deadline, advance)


def _body(
    response: "Response",
    num_bytes: int,
    limits: Limits,
    deadline: float,
    advance: Callable[[int], None],
) -> bytes:
    status = response.status_code
    if status != HTTPStatus.OK:
        busy = status >= 500 or status == HTTPStatus.TOO_MANY_REQUESTS
        raise TryError(f"answers {status} {response.reason or ''}".rstrip(), retry=busy)
    body = bytearray()
    # read1 returns what has arrived; read and iter_content would wait for a whole block, and
    # never come back to look at the clock while bytes drip in.
    while piece := response.raw.read1(_READ_BYTES, decode_content=False):
        body += piece
        advance(len(piece))
        if time.monotonic() > deadline:
            raise _too_slow(limits)
        if len(body) > num_bytes:
            break
    if len(body) != num_bytes:
        kind = response.headers.get("Content-Type", "").partition(";")[0]
        if kind.startswith("text/"):
            raise TryError(f"sends {kind} in place of the file")
        sent = f"{len(body):,} of" if len(body) < num_bytes else "more than"
        raise TryError(f"sends {sent} {num_bytes:,} bytes", retry=True)
    return bytes(body)


def _too_slow(limits: Limits) -> TryError:
    return TryError(f"is not done after {limits.try_s:g} s", too_slow=True)


def _explain(error: Exception, limits: Limits) -> TryError:
    """Find the few words that matter in the nested errors of requests, urllib3 and the sockets."""
    import requests
    import urllib3

    causes = list(_causes(error))

    def caused_by(*kinds: type[BaseException]) -> bool:
        return any(isinstance(cause, kinds) for cause in causes)

    system = next((cause for cause in reversed(causes) if getattr(cause, "strerror", None)), None)
    words = getattr(system, "strerror", None) or type(causes[-1]).__name__
    if caused_by(requests.exceptions.ProxyError):
        return TryError(f"cannot be reached through the proxy ({words})")
    # Not urllib3's ConnectTimeoutError, of which a refused connection is a case.
    if caused_by(requests.ConnectTimeout):
        return TryError(f"cannot be reached within {limits.connect_s:g} s", too_slow=True)
    if caused_by(requests.ReadTimeout, urllib3.exceptions.ReadTimeoutError, TimeoutError):
        return TryError(f"sends nothing for {limits.read_s:g} s", too_slow=True)
    cut = caused_by(urllib3.exceptions.ProtocolError, ConnectionResetError)
    return TryError(f"cuts the connection ({words})" if cut else words, retry=cut)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
