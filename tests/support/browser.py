"""Debian's Chromium, driven by Playwright; its camera shows a photo."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from aurum.playground.serve import Playground
from aurum.server.ephemeral import Service, free_ports

PHONE = {"width": 360, "height": 740}
DESK = {"width": 1280, "height": 900}
SLOW = 60_000  # milliseconds; the machine may have only two, busy cores

FLAGS = (
    "--no-sandbox",  # tests run as root in containers
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
)


@contextmanager
def chromium(folder: Path, photo: bytes) -> Iterator[Browser]:
    """Start the browser; its fake camera plays a film of this JPEG, written to `folder`."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium: install Debian's package chromium")
    film = folder / "camera.mjpeg"
    film.write_bytes(photo * 5)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=[*FLAGS, f"--use-file-for-fake-video-capture={film}"]
        )
        try:
            yield browser
        finally:
            browser.close()


def serve(service: Service, **changed: Any) -> Playground:
    """Make a playground for a server, on a free port."""
    (port,) = free_ports(1)
    return Playground(replace(service.settings, playground_port=port, **changed))


def upload(
    page: Page, data: bytes, name: str = "photo.jpg", where: str = "#analyze", side: int = 0
) -> None:
    """Choose a file in the page's file input."""
    field = page.locator(f"{where} input[type=file]").nth(side)
    field.set_input_files({"buffer": data, "name": name, "mimeType": "image/jpeg"})


def wait_for_status(page: Page, text: str, where: str = "#analyze") -> None:
    """Wait until the page shows this status."""
    line = page.locator(f"{where} [role=status]").filter(has_text=text).first
    expect(line).to_be_visible(timeout=SLOW)


def wait_for_error(page: Page, text: str, where: str = "#analyze") -> None:
    """Wait until the page shows this error."""
    expect(page.locator(f"{where} [role=alert]").first).to_contain_text(text, timeout=SLOW)
