"""Fixtures of the data tests."""

import os
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import torchvision.datasets
import trustme
from mirror_server import Mirrors, serve
from small_mnist import SmallMnist, small_mnist

from digits.data import datasets


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a cache folder that is empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "digits"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> SmallMnist:
    """Put a small data set in the place of MNIST."""
    small = small_mnist()
    monkeypatch.setitem(datasets.DATASETS, datasets.MNIST, small.dataset)
    return small


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder with the real MNIST files."""
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
    """Serve the small data set, with a certificate that requests trusts; call to choose mirrors."""
    context, bundle = certificates
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)

    def choose(addresses: list[str]) -> None:
        monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", addresses)

    with serve(small.packed, context, choose) as mirrors:
        yield mirrors
