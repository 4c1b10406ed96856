"""A real ComfyUI as a child process with this repository among its custom nodes, driven over HTTP and its websocket."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import websocket

REPOSITORY = Path(__file__).resolve().parents[2]
PROJECT_FOLDERS = ("nodes", "fourreal_core", "web", "workflows", "subgraphs", "locales")
START_SECONDS = 180
TEXT = 3
"""The host's number for a binary message that holds a node's name and a text for it."""


@dataclass
class Run:
    """What the host said about one queued prompt.

    Attributes:
        prompt_id: The host's name for it.
        events: Messages ``(type, data)`` of this prompt, in order.
        previews: Number of preview pictures.
        texts: Progress texts ``(node, text)``, in order.
        outputs: UI output of each output node, by node id.
    """

    prompt_id: str
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    previews: int = 0
    texts: list[tuple[str, str]] = field(default_factory=list)
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)

    def data(self, kind: str) -> list[dict[str, Any]]:
        """The data of all messages of a type."""
        return [data for got, data in self.events if got == kind]

    @property
    def error(self) -> str:
        """The message of the node that failed, or an empty string."""
        return "".join(data["exception_message"] for data in self.data("execution_error"))


class ComfyHost:
    """Starts the host on a free loopback port with folders of its own.

    Args:
        checkout: The host's source folder.
        python: The interpreter of its environment.
        base: An empty folder for its models, inputs and outputs.
        more_nodes: A package of further custom nodes.
    """

    def __init__(self, checkout: Path, python: str, base: Path, more_nodes: Path | None = None) -> None:
        self.base = base
        for name in ("custom_nodes", "models", "input", "output", "temp", "user"):
            (base / name).mkdir(parents=True)
        _install(base / "custom_nodes" / "comfyui-4real")
        if more_nodes is not None:
            (base / "custom_nodes" / more_nodes.name).symlink_to(more_nodes, target_is_directory=True)
        self._port = _free_port()
        self.log = base / "log.txt"
        command = [
            python,
            "main.py",
            "--cpu",
            "--listen",
            "127.0.0.1",
            "--port",
            str(self._port),
            "--base-directory",
            str(base),
            "--disable-auto-launch",
            "--preview-method",
            "auto",
            "--database-url",
            f"sqlite:///{(base / 'user' / 'comfyui.db').as_posix()}",
        ]
        if front_end := os.environ.get("COMFYUI_FRONT_END"):
            command += ["--front-end-root", front_end]
        with self.log.open("wb") as out:
            self._process = subprocess.Popen(
                command, cwd=checkout, stdout=out, stderr=subprocess.STDOUT, env=os.environ | {"PYTHONUTF8": "1"}
            )
        self._wait_until_up()

    @property
    def address(self) -> str:
        """Where a browser finds the host."""
        return f"http://127.0.0.1:{self._port}/"

    def close(self) -> None:
        """Ends the process that was started."""
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def get(self, path: str) -> bytes:
        """Body of a GET."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=60) as reply:
            return reply.read()

    def get_json(self, path: str) -> Any:
        """Body of a GET, parsed."""
        return json.loads(self.get(path))

    def post(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        """Status and parsed body of a POST."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._port}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return reply.status, _parsed(reply.read())
        except urllib.error.HTTPError as err:
            return err.code, _parsed(err.read())

    def interrupt(self) -> None:
        """Presses the cancel button."""
        self.post("/interrupt", {})

    def run(self, prompt: dict[str, Any], until: Any = None, timeout: float = 600) -> Run:
        """Queues a prompt in API format and follows it over the websocket to its end.

        Args:
            prompt: Nodes by id.
            until: Called with every message's type and data; may act on the host (cancel).
            timeout: Seconds to wait for the end.
        """
        client = uuid.uuid4().hex
        ws = websocket.create_connection(f"ws://127.0.0.1:{self._port}/ws?clientId={client}", timeout=timeout)
        try:
            status, reply = self.post("/prompt", {"prompt": prompt, "client_id": client})
            assert status == 200, reply
            return self._follow(ws, Run(reply["prompt_id"]), until)
        finally:
            ws.close()

    def _follow(self, ws: websocket.WebSocket, run: Run, until: Any) -> Run:
        while True:
            message = ws.recv()
            if isinstance(message, bytes):
                if int.from_bytes(message[:4], "big") == TEXT:
                    end = 8 + int.from_bytes(message[4:8], "big")
                    run.texts.append((message[8:end].decode(), message[end:].decode()))
                else:
                    run.previews += 1
                continue
            kind, data = (lambda m: (m["type"], m.get("data", {})))(json.loads(message))
            if data.get("prompt_id") != run.prompt_id:
                continue
            run.events.append((kind, data))
            if kind == "executed":
                run.outputs[data["node"]] = data["output"] or {}
            if until is not None:
                until(kind, data)
            if kind in ("execution_success", "execution_error", "execution_interrupted"):
                return run

    def _wait_until_up(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                self.get("/system_stats")
                return
            except OSError:
                time.sleep(0.3)
        self.close()
        raise RuntimeError("ComfyUI did not start:\n" + self.log.read_text("utf-8", "replace")[-4000:])


def _install(target: Path) -> None:
    try:
        target.symlink_to(REPOSITORY, target_is_directory=True)
    except OSError:  # Windows without the right to make symbolic links
        target.mkdir()
        shutil.copy(REPOSITORY / "__init__.py", target)
        for name in PROJECT_FOLDERS:
            shutil.copytree(REPOSITORY / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _parsed(body: bytes) -> Any:
    return json.loads(body) if body else None
