"""One HTML file with viewer and scene, which opens from disk and asks for nothing."""

from __future__ import annotations

import base64
import html
import os
from pathlib import Path

from ..media.files import write_bytes
from .bundle import bundled

_PIECE = 3 << 18  # bytes of a payload that are handed over at once; a multiple of three
_HEAD = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="dark light">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>html, body {{ margin: 0; height: 100%; background: #14161a }} #viewer {{ height: 100vh; height: 100dvh }}</style>
<body>
<div id="viewer"></div>
<noscript>The viewer needs JavaScript.</noscript>
"""


def viewer_page(payload: bytes, title: str) -> bytes:
    """A page that holds everything; the first time step shows while the browser still reads the rest.

    Args:
        payload: From viewer_payload.
        title: Of the page.
    """
    script = bundled("page").replace("</script", "<\\/script")
    parts = [
        _HEAD.format(title=html.escape(title)),
        f"<script>\n{script}</script>\n",
        '<script>const feed = fourreal.openPage(document.getElementById("viewer"));</script>\n',
    ]
    for start in range(0, len(payload), _PIECE):
        text = base64.b64encode(payload[start : start + _PIECE]).decode()
        parts.append(f'<script type="text/plain">{text}</script><script>feed.take()</script>\n')
    parts.append("<script>feed.end()</script>\n")
    return "".join(parts).encode()


def write_viewer(payload: bytes, title: str, path: str | os.PathLike[str]) -> Path:
    """Writes the page of a payload, whole or not at all.

    Raises:
        InputError: The folder can't be written or is full.
    """
    return write_bytes(Path(path), viewer_page(payload, title))
