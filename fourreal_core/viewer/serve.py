"""A local server for the viewer: loopback only, one page a run, scenes packed when they are first asked for."""

from __future__ import annotations

import html
import logging
import threading
from collections.abc import Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from ..errors import InputError
from .bundle import FOLDER
from .runs import Run

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
_JAVASCRIPT, _HTML, _PAYLOAD = "text/javascript; charset=utf-8", "text/html; charset=utf-8", "application/octet-stream"
_HEAD = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="dark light">
<link rel="icon" href="data:,">
"""
_PAGE = (
    _HEAD
    + """<title>{title}</title>
<style>html, body {{ margin: 0; height: 100%; background: #14161a }} #viewer {{ height: 100vh; height: 100dvh }}</style>
<body><div id="viewer"></div>
<script type="module">
import {{ openAddress }} from "/web/page.js";
openAddress(document.getElementById("viewer"), "scene");
</script>
"""
)
_INDEX = (
    _HEAD
    + """<title>4D scenes</title>
<style>
:root {{ color-scheme: dark light; font: 15px/1.4 system-ui, sans-serif;
  --back: light-dark(#f6f7f9, #14161a); --card: light-dark(#fff, #1d2026); --line: light-dark(#d9dde4, #2d3139);
  --text: light-dark(#1b1e24, #e6e8ec); }}
body {{ margin: 0 auto; max-width: 1200px; padding: 28px 24px 48px; background: var(--back); color: var(--text); }}
h1 {{ font-size: 20px; margin: 0 0 18px; }}
ul {{ list-style: none; margin: 0; padding: 0; display: grid; gap: 18px;
  grid-template-columns: repeat(auto-fill, minmax(min(260px, 100%), 1fr)); }}
a {{ display: block; color: inherit; text-decoration: none; background: var(--card); border: 1px solid var(--line);
  border-radius: 12px; overflow: hidden; }}
a:hover, a:focus-visible {{ border-color: #5b9dff; outline: none; }}
img, .none {{ display: block; width: 100%; aspect-ratio: 16 / 9; object-fit: cover; object-position: 0 0;
  background: var(--line); }}
span {{ display: block; padding: 10px 14px; overflow-wrap: anywhere; }}
</style>
<body><h1>4D scenes</h1>
<ul>
{items}
</ul>
"""
)


class ViewerServer(ThreadingHTTPServer):
    """Serves runs until it is shut down.

    Args:
        runs: What to serve; the list stays as it is.
        port: Port on the loopback address, 0 for any that is free.

    Raises:
        InputError: The port is taken.
    """

    daemon_threads = True
    allow_reuse_address = False

    def __init__(self, runs: Sequence[Run], port: int = 0) -> None:
        self.runs = list(runs)
        self._payloads: dict[int, tuple[float, bytes]] = {}
        self._packing = threading.Lock()
        try:
            super().__init__((LOOPBACK, port), _Handler)
        except (OSError, OverflowError) as err:
            raise InputError(
                f"port {port}, which can't be used ({err})", "a free port", "choose another --port"
            ) from err

    @property
    def address(self) -> str:
        """Where a browser finds it."""
        return f"http://{LOOPBACK}:{self.server_address[1]}/"

    def payload(self, number: int) -> bytes:
        """The packed scene of a run, packed again when its file has changed."""
        from ..scene.formats.scene_file import load_scene
        from .given_frames import frames_of_run
        from .payload import PayloadOptions, viewer_payload

        run = self.runs[number]
        with self._packing:  # one at a time: packing takes all cores
            changed = run.scene.stat().st_mtime
            if self._payloads.get(number, (0.0, b""))[0] != changed:
                scene = load_scene(run.scene)
                packed = viewer_payload(
                    scene, frames_of_run(run.folder, scene), PayloadOptions(title=run.name, compression=6)
                )
                self._payloads[number] = changed, packed
            return self._payloads[number][1]


class _Handler(BaseHTTPRequestHandler):
    server: ViewerServer
    server_version = "fourreal"
    sys_version = ""

    def do_GET(self) -> None:
        """Answers with a page, a module, a scene or a picture."""
        if self.headers.get("Host", "").rsplit(":", 1)[0] not in (LOOPBACK, "localhost"):
            self._send(HTTPStatus.FORBIDDEN, _HTML, b"This server answers its own machine only.")
            return
        try:
            kind, body = self._answer([part for part in urlsplit(self.path).path.split("/") if part])
        except InputError as err:  # a scene that can't be read: the viewer says it in its own words
            self._send(HTTPStatus.UNPROCESSABLE_ENTITY, "text/plain; charset=utf-8", str(err).encode())
            return
        except (KeyError, IndexError, ValueError, OSError):
            self._send(HTTPStatus.NOT_FOUND, _HTML, b"There is nothing here.")
            return
        self._send(HTTPStatus.OK, kind, body)

    def _answer(self, parts: list[str]) -> tuple[str, bytes]:
        runs = self.server.runs
        if not parts:
            return _HTML, (_page(runs[0], "/run/0/") if len(runs) == 1 else _index(runs)).encode()
        if parts[0] == "web" and len(parts) == 2 and parts[1] in {path.name for path in FOLDER.glob("*.js")}:
            return _JAVASCRIPT, (FOLDER / parts[1]).read_bytes()
        if parts[0] != "run" or not 2 <= len(parts) <= 3:
            raise KeyError(parts)
        number = int(parts[1])
        run = runs[number]
        if len(parts) == 2:
            return _HTML, _page(run, f"/run/{number}/").encode()
        if parts[2] == "scene":
            return _PAYLOAD, self.server.payload(number)
        if parts[2] == "picture" and run.picture is not None:
            return "image/png", run.picture.read_bytes()
        raise KeyError(parts)

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-cache")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Sends the server's lines to the log."""
        log.debug(format, *args)


def _page(run: Run, base: str) -> str:
    page = _PAGE.format(title=html.escape(run.name))
    return page.replace('"scene"', f'"{base}scene"')


def _index(runs: Sequence[Run]) -> str:
    items = []
    for number, run in enumerate(runs):
        picture = (
            f'<img src="/run/{number}/picture" alt="" loading="lazy">' if run.picture else '<div class="none"></div>'
        )
        items.append(f'<li><a href="/run/{number}/">{picture}<span>{html.escape(run.name)}</span></a></li>')
    return _INDEX.format(items="\n".join(items))
