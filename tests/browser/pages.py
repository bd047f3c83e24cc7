"""A real browser on pages of this machine, from which no request gets out."""

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
NEEDS_BROWSER = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER),
        reason="no chromium with its driver (Debian: apt install chromium chromium-driver)",
    ),
]

# TensorBoard's pages are made of elements with shadow roots, which querySelector does not enter.
DEEP_QUERY = """
const found = [];
const visit = (root) => {
    found.push(...root.querySelectorAll(arguments[0]));
    for (const element of root.querySelectorAll("*"))
        if (element.shadowRoot) visit(element.shadowRoot);
};
visit(document);
"""


@contextmanager
def browser(width: int = 1400, height: int = 900) -> Iterator[webdriver.Chrome]:
    """Start headless Chromium."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        f"--window-size={width},{height}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    driver = webdriver.Chrome(options, Service(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


@contextmanager
def tensorboard(folder: Path) -> Iterator[str]:
    """Serve a folder of runs; yield the address."""
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder)]
    command += ["--host", "127.0.0.1", "--port", "0", "--load_fast", "false"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr
            for line in server.stderr:
                if address := re.search(r"http://127\.0\.0\.1:\d+/", line):
                    yield address[0]
                    break
            else:
                raise AssertionError("TensorBoard did not start")
        finally:
            server.kill()


def elements(driver: webdriver.Chrome, selector: str, value: str = "each => each") -> list[Any]:
    """Evaluate a JavaScript function for each element that matches, in whatever shadow root."""
    found: list[Any] = driver.execute_script(f"{DEEP_QUERY} return found.map({value});", selector)
    return found


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    """Wait until a condition returns something true, and return that."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if result := condition():
            return result
        time.sleep(0.3)
    raise AssertionError(f"waited {seconds} s for {what}")


def emulate_phone(driver: webdriver.Chrome, width: int = 360, *, dark: bool = False) -> None:
    """Show pages as a phone does."""
    phone = {"width": width, "height": 780, "deviceScaleFactor": 1, "mobile": True}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})


def requests(driver: webdriver.Chrome) -> list[str]:
    """Return the addresses, of this machine or another, that have been asked for so far."""
    log: Any = driver  # selenium gives this method no types
    events = [json.loads(entry["message"])["message"] for entry in log.get_log("performance")]
    urls = [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
    return [url for url in urls if not url.startswith(("data:", "chrome"))]
