"""The web server of a study, on Starlette and uvicorn: pages, videos, answers."""

from __future__ import annotations

import ipaddress
import json
import secrets
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from ..errors import InputError
from . import pages
from .questions import LEFT, RIGHT
from .store import AnswerStore, PlaceLost
from .study_file import VIDEO_FOLDER, Study

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

LOOPBACK = "127.0.0.1"
KEY_COOKIE, TOKEN_COOKIE = "study_key", "study_token"
LARGEST_BODY = 4096
_YEAR_SECONDS = 365 * 24 * 3600


class StudyServer:
    """Serves a study until it is stopped.

    Args:
        study: The study.
        folder: Where its videos and answers lie.
        host: Address to listen at; anything but loopback asks for a token.
        port: 0 for any that is free.
        token: That visitors must bring; made up where one is needed and none is given.

    Raises:
        InputError: No web framework here, an address that can't be used, or answers that can't be written.
    """

    def __init__(
        self, study: Study, folder: Path, host: str = LOOPBACK, port: int = 0, token: str | None = None
    ) -> None:
        require_server()
        self.study, self.folder, self.host = study, folder, host
        self.token = token or (None if is_loopback(host) else secrets.token_urlsafe(16))
        self.store = AnswerStore(study, folder)
        if not 0 <= port <= 65535:
            raise InputError(f"port {port}", "0 to 65535", "say for example --port 8420")
        try:
            self.socket = socket.create_server((host, port))
        except OSError as err:
            raise InputError(
                f"{host}:{port} can't be used ({err.strerror or err})",
                "an address of this machine and a free port",
                "choose others",
            ) from err
        self.port: int = self.socket.getsockname()[1]

    @property
    def address(self) -> str:
        """What evaluators open, with the token where there is one."""
        token = f"?token={self.token}" if self.token else ""
        return f"http://{self.host}:{self.port}/{token}"

    def serve_forever(self) -> None:
        """Serves until interrupted."""
        import uvicorn

        config = uvicorn.Config(study_app(self), log_level="warning", access_log=False, lifespan="off")
        uvicorn.Server(config).run(sockets=[self.socket])

    def close(self) -> None:
        """Frees the port."""
        self.socket.close()


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def require_server() -> None:
    """Raises InputError where Starlette or uvicorn is not installed."""
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as err:
        raise InputError(
            f"no package {err.name}",
            "what the study is served with",
            "install it: python -m pip install starlette uvicorn",
        ) from err


def study_app(server: StudyServer) -> Starlette:
    """The application: one handler an address; those that touch answers run in threads."""
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.routing import Route

    handlers = _Handlers(server)
    hosts = [LOOPBACK, "localhost", server.host] if server.token is None else ["*"]
    return Starlette(
        routes=[
            Route("/", handlers.start),
            Route("/start", handlers.enter, methods=["POST"]),
            Route("/resume", handlers.resume, methods=["POST"]),
            Route("/page", handlers.page),
            Route("/answer", handlers.answer, methods=["POST"]),
            Route("/video/{pair}/{side}", handlers.video),
            Route("/mine.json", handlers.mine),
            Route("/delete", handlers.delete, methods=["POST"]),
            Route("/study.js", handlers.script),
            Route("/study.css", handlers.style),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=hosts)],
    )


Handler = Callable[["Request"], Awaitable["Response"]]


class _Handlers:
    """What is answered; every one first looks at token and origin."""

    def __init__(self, server: StudyServer) -> None:
        self.server, self.study, self.store = server, server.study, server.store

    async def start(self, request: Request) -> Response:
        from starlette.responses import RedirectResponse

        token = request.query_params.get("token")
        if self.server.token and token and secrets.compare_digest(token.encode(), self.server.token.encode()):
            reply: Response = RedirectResponse("./", 303)
            reply.set_cookie(TOKEN_COOKIE, token, max_age=_YEAR_SECONDS, httponly=True, samesite="strict")
            return reply
        return await self._guarded(request, lambda key: self._html(pages.start_page(self.study, key)))

    async def enter(self, request: Request) -> Response:
        return await self._guarded(request, lambda key: self._signed_in(key or self.store.enter()))

    async def resume(self, request: Request) -> Response:
        body = await _body(request)
        wanted = parse_qs(body.decode("utf-8", "replace")).get("key", [""])[0].strip()

        def go_on(key: str | None) -> Response:
            if self.store.knows(wanted):
                return self._signed_in(wanted)
            return self._html(pages.start_page(self.study, None, "Nobody has this key."), 404)

        return await self._guarded(request, go_on)

    async def page(self, request: Request) -> Response:
        from starlette.responses import RedirectResponse

        def show(key: str | None) -> Response:
            if key is None:
                return RedirectResponse("./", 303)
            found = self.store.page(key)
            return self._html(pages.done_page(self.study, key) if found is None else pages.pair_page(self.study, found))

        return await self._guarded(request, show)

    async def answer(self, request: Request) -> Response:
        from starlette.responses import JSONResponse, PlainTextResponse

        body = await _body(request)

        def keep(key: str | None) -> Response:
            try:
                said: Any = json.loads(body)
                pair, question, answer = (str(said[name]) for name in ("pair", "question", "answer"))
            except (ValueError, KeyError, TypeError):
                return PlainTextResponse("This is no answer.", 400)
            if key is None:
                return PlainTextResponse("Please begin first.", 403)
            try:
                return JSONResponse({"finished": self.store.answer(key, pair, question, answer)})
            except PlaceLost:
                return PlainTextResponse(
                    "This page was open for too long and went to somebody else; please reload.", 409
                )
            except InputError as err:
                return PlainTextResponse(str(err), 507 if "space" in str(err) else 400)

        return await self._guarded(request, keep)

    async def video(self, request: Request) -> Response:
        from starlette.responses import FileResponse, PlainTextResponse

        pair, side = request.path_params["pair"], request.path_params["side"]

        def send(key: str | None) -> Response:
            flipped = None if key is None else self.store.flipped(key, pair)
            if flipped is None or side not in (LEFT, RIGHT):
                return PlainTextResponse("There is no such video.", 404)
            shown = self.study.pair(pair)
            name = shown.first_video if (side == LEFT) != flipped else shown.second_video
            path = self.server.folder / VIDEO_FOLDER / name
            if not path.is_file():
                return PlainTextResponse("This video is missing.", 404)
            kind = "video/webm" if path.suffix == ".webm" else "video/mp4"
            headers = {"Cache-Control": "no-store"}  # one address shows another video on another day
            return FileResponse(path, media_type=kind, headers=headers)

        return await self._guarded(request, send)

    async def mine(self, request: Request) -> Response:
        from starlette.responses import JSONResponse, PlainTextResponse

        def export(key: str | None) -> Response:
            if key is None:
                return PlainTextResponse("Please begin first.", 403)
            return JSONResponse({"key": key, "answers": [_without_sides(row) for row in self.store.rows(key)]})

        return await self._guarded(request, export)

    async def delete(self, request: Request) -> Response:
        def forget(key: str | None) -> Response:
            count = 0 if key is None else self.store.delete(key)
            reply = self._html(pages.message_page("Deleted", f"{count} answers were removed, and your key with them."))
            reply.delete_cookie(KEY_COOKIE)
            return reply

        return await self._guarded(request, forget)

    async def script(self, request: Request) -> Response:
        from starlette.responses import FileResponse

        return FileResponse(pages.WEB / "study.js", media_type="text/javascript")

    async def style(self, request: Request) -> Response:
        from starlette.responses import FileResponse

        return FileResponse(pages.WEB / "study.css", media_type="text/css")

    async def _guarded(self, request: Request, make: Callable[[str | None], Response]) -> Response:
        """The reply of ``make`` for the evaluator of the request's cookie, worked out in a thread."""
        from starlette.concurrency import run_in_threadpool
        from starlette.responses import PlainTextResponse

        if self.server.token:
            token = request.cookies.get(TOKEN_COOKIE, "")
            if not secrets.compare_digest(token.encode(), self.server.token.encode()):
                return self._html(
                    pages.message_page("Not here", "Open the study by the whole address you were given."), 403
                )
        origin = request.headers.get("origin")
        if request.method == "POST" and origin and urlsplit(origin).netloc != request.headers.get("host"):
            return PlainTextResponse("This came from another page.", 403)

        def answer() -> Response:
            key = request.cookies.get(KEY_COOKIE)
            try:
                return make(key if key and self.store.knows(key) else None)
            except InputError as err:
                return self._html(
                    pages.message_page("This did not work", str(err)), 507 if "space" in str(err) else 500
                )

        return await run_in_threadpool(answer)

    def _signed_in(self, key: str) -> Response:
        from starlette.responses import RedirectResponse

        reply = RedirectResponse("page", 303)
        reply.set_cookie(KEY_COOKIE, key, max_age=_YEAR_SECONDS, httponly=True, samesite="strict")
        return reply

    def _html(self, text: str, status: int = 200) -> Response:
        from starlette.responses import HTMLResponse

        return HTMLResponse(text, status, headers={"Cache-Control": "no-store"})


async def _body(request: Request) -> bytes:
    """The request's body, cut off where nothing that is sent here is so long."""
    found = b""
    async for chunk in request.stream():
        found += chunk
        if len(found) > LARGEST_BODY:
            return b""
    return found


def _without_sides(row: dict[str, str | float | bool]) -> dict[str, str | float | bool]:
    """What an evaluator gets of an answer: what they saw and said, not which side was which."""
    return {name: row[name] for name in ("pair", "question", "answer", "at")}
