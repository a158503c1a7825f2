"""Fixtures that run app.py in a process of its own and look at it with headless Chromium."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect, sync_playwright

ROOT = Path(__file__).parent.parent
CHROMIUM_ARGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
START_S = 300  # patience, not a measurement: a busy machine imports torch slowly
ANSWER_S = 120  # likewise: the first comparison loads every network
STOP_S = 30  # a batch under way goes on for longer


@dataclass(frozen=True)
class App:
    """A running app.py: its address, the folder with its uploads, its process, what it printed."""

    url: str
    uploads: Path
    pid: int
    log: Path

    def keeps(self, data: bytes) -> bool:
        """Whether any file on its disk has this content."""
        for path in paths_in(self.uploads):
            with suppress(FileNotFoundError, IsADirectoryError):
                if path.read_bytes() == data:
                    return True
        return False


def paths_in(folder: Path) -> list[Path]:
    """All files and folders in it, also while the server removes some of them."""
    return [
        Path(parent, name) for parent, folders, files in os.walk(folder) for name in folders + files
    ]


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    with run_app(tmp_path_factory.mktemp("app")) as running:
        yield running


@contextmanager
def run_app(folder: Path, **settings: str) -> Iterator[App]:
    """app.py without a network, until the block ends. settings: further environment variables.

    Fails where it tried to reach beyond this machine (see tests/offline).
    """
    uploads = folder / "uploads"
    port = _free_port()
    environment = os.environ | {
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_TEMP_DIR": str(uploads),
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": str(ROOT / "tests" / "offline"),
    }
    log_path = folder / "log.txt"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "app.py"],
            cwd=ROOT,
            env=environment | settings,
            stdout=log,
            stderr=log,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_for(url, process, log_path)
        yield App(url, uploads, process.pid, log_path)
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    assert process.returncode == 0, log_path.read_text()
    assert "REACHED_OUT" not in log_path.read_text()


@pytest.fixture(scope="module")
def chromium():
    expect.set_options(timeout=ANSWER_S * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=CHROMIUM_ARGS
        )
        yield browser
        browser.close()


@pytest.fixture
def open_page(app, chromium):
    """Opens the demo in a browser profile of its own; keywords go to `Browser.new_context`.

    The test fails where a page asks for anything outside this machine or reports an error.
    """
    contexts, complaints = [], []

    def complain_of_request(request):
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob") and parts.hostname != "127.0.0.1":
            complaints.append(f"request to {request.url}")

    def complain_of_message(message):
        if message.type == "error":
            complaints.append(f"console: {message.text}")

    def open_(**options):
        context = chromium.new_context(**options)
        contexts.append(context)
        context.on("request", complain_of_request)
        context.on("console", complain_of_message)
        context.on("weberror", lambda web_error: complaints.append(str(web_error.error)))
        context.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
        page = context.new_page()
        page.set_default_timeout(ANSWER_S * 1000)
        page.goto(app.url)
        expect(page.locator("#picture .frame")).to_be_visible()
        return page

    yield open_
    for context in contexts:
        context.close()
    assert not complaints


def type_into(field, text: str) -> None:
    """Fill a number field and wait until Gradio has it, as it has by the time a person goes on."""
    for _ in range(50):
        field.fill(text)
        field.page.wait_for_timeout(300)
        if field.input_value() == text:
            return
    pytest.fail(f"{text} does not stay in the field")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_for(url: str, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            urllib.request.urlopen(url, timeout=10).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    pytest.fail(f"app.py did not start:\n{log.read_text()}")
