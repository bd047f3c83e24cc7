"""Fixtures of the data tests."""

import os
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from mirror_server import Mirrors, serve
from small_mnist import SmallMnist, small_mnist

from digits.data import local
from digits.data.download import Limits


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
    """Mirrors of the small data set, whose certificate requests trusts."""
    context, bundle = certificates
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with serve(small.packed, context) as mirrors:
        yield mirrors
