"""One ComfyUI host over its HTTP interface and its websocket."""

from __future__ import annotations

import contextlib
import http.client
import json
import mimetypes
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..media.files import output_path

_SECONDS, _LOOK_SECONDS = 30.0, 5.0
_ENDED = ("execution_success", "execution_error", "execution_interrupted")
UPLOAD_FOLDER = "fourreal"
"""Below the host's input folder."""


class HostGone(Exception):
    """A host that does not answer any more."""


class Stopped(Exception):
    """Whoever waits wants no more."""


class Host:
    """A host.

    Args:
        address: ``host:port`` or a URL.
        seconds: How long an answer may take.
    """

    def __init__(self, address: str, seconds: float = _SECONDS) -> None:
        self.url = (address if "://" in address else f"http://{address}").rstrip("/")
        self.seconds = seconds

    def __str__(self) -> str:
        return self.url

    def object_info(self) -> dict[str, Any]:
        """What the host says of its nodes.

        Raises:
            HostGone: It doesn't answer.
        """
        found: dict[str, Any] = self._json("/object_info")
        return found

    def waiting(self) -> int:
        """How many prompts of anybody's are running or queued there.

        Raises:
            HostGone: It doesn't answer.
        """
        return int(self._json("/prompt").get("exec_info", {}).get("queue_remaining", 0))

    def upload(self, path: Path, name: str) -> str:
        """Uploads a file to the input folder, and says what nodes call it there.

        Raises:
            HostGone: It doesn't answer.
            InputError: It refuses.
        """
        boundary = uuid.uuid4().hex
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        # nothing is overwritten: the host keeps a file that is there with the same content, and names another one anew
        fields = {"subfolder": UPLOAD_FOLDER, "type": "input"}
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
            for key, value in fields.items()
        ]
        head = f'Content-Disposition: form-data; name="image"; filename="{name}"\r\nContent-Type: {kind}'
        parts.append(f"--{boundary}\r\n{head}\r\n\r\n".encode() + path.read_bytes() + b"\r\n")
        body = b"".join(parts) + f"--{boundary}--\r\n".encode()
        status, reply = self._post("/upload/image", body, f"multipart/form-data; boundary={boundary}")
        if status != 200:
            raise InputError(f"{self} refuses the file {path.name} ({status})", "one that it takes", "see its log")
        return f"{reply['subfolder']}/{reply['name']}" if reply.get("subfolder") else str(reply["name"])

    def run(self, prompt: Mapping[str, Any], stopped: Callable[[], bool]) -> dict[str, Any]:
        """Queues a prompt and follows it to its end.

        Args:
            prompt: Nodes by id.
            stopped: Asked now and then; if true the prompt is taken back.

        Returns:
            Outputs by node, as the host's history has them.

        Raises:
            HostGone: It doesn't answer any more.
            InputError: It refuses the prompt, or a node failed.
            Stopped: ``stopped`` said so.
        """
        client = uuid.uuid4().hex
        with self._listening(client) as receive:
            body = json.dumps({"prompt": prompt, "client_id": client}).encode()
            status, reply = self._post("/prompt", body, "application/json")
            if status != 200:
                raise InputError(f"a workflow that {self} refuses ({_refusal(reply)})", "one it runs", "mend the row")
            name = str(reply["prompt_id"])
            try:
                self._follow(name, receive, stopped)
            except Stopped:
                self._take_back(name)
                raise
        return self._outputs(name)

    def fetch(self, entry: Mapping[str, Any], folder: Path) -> Path:
        """Fetches one output file into a folder.

        Raises:
            HostGone: It doesn't answer any more.
            InputError: It no longer has the file, or the name leaves the folder.
        """
        query = urllib.parse.urlencode(
            {
                "filename": entry["filename"],
                "subfolder": entry.get("subfolder", ""),
                "type": entry.get("type", "output"),
            }
        )
        target = output_path(folder, str(entry["filename"]))
        with self._talking(), urllib.request.urlopen(f"{self.url}/view?{query}", timeout=self.seconds) as reply:
            target.write_bytes(reply.read())
        return target

    def _follow(self, name: str, receive: Callable[[], Any], stopped: Callable[[], bool]) -> None:
        looked = time.monotonic()
        while True:
            if stopped():
                raise Stopped
            message = receive()
            if message is None:  # nothing was said: is it still there, and was the end perhaps missed?
                if time.monotonic() - looked > _LOOK_SECONDS:
                    looked = time.monotonic()
                    if name in self._json(f"/history/{name}"):
                        return
                continue
            kind, data = message.get("type"), message.get("data") or {}
            if kind in _ENDED and data.get("prompt_id") == name:
                return

    def _outputs(self, name: str) -> dict[str, Any]:
        """What the history has of a prompt that ended; it may take a moment to get there.

        Raises:
            InputError: It failed.
        """
        deadline = time.monotonic() + self.seconds
        while name not in (history := self._json(f"/history/{name}")):
            if time.monotonic() > deadline:
                raise HostGone(f"{self} has lost the prompt {name}")
            time.sleep(0.1)
        entry = history[name]
        messages = (entry.get("status") or {}).get("messages") or []
        for kind, data in messages:
            if kind == "execution_error":
                what = str(data.get("exception_message", "")).strip().rstrip(".")
                raise InputError(
                    f"the node {data.get('node_type')} ({data.get('node_id')}) failed on {self}: {what}",
                    "a workflow that runs through",
                    "mend the row or the workflow",
                )
            if kind == "execution_interrupted":
                raise InputError(f"the prompt was interrupted on {self}", "one that runs through", "run again")
        outputs: dict[str, Any] = entry.get("outputs") or {}
        return outputs

    def _take_back(self, name: str) -> None:
        with contextlib.suppress(HostGone):
            self._post("/queue", json.dumps({"delete": [name]}).encode(), "application/json")
            running = self._json("/queue").get("queue_running", [])
            if any(len(item) > 1 and item[1] == name for item in running):
                self._post("/interrupt", json.dumps({"prompt_id": name}).encode(), "application/json")

    @contextlib.contextmanager
    def _listening(self, client: str) -> Iterator[Callable[[], Any]]:
        """A function that gives the websocket's next message, or None when none has come for a second."""
        try:
            import websocket
        except ImportError as err:
            raise InputError(
                f"no websocket client here ({err})", "the package websocket-client", 'run pip install ".[batch]"'
            ) from err
        url = f"{self.url.replace('http', 'ws', 1)}/ws?clientId={client}"
        try:
            socket = websocket.create_connection(url, timeout=self.seconds)
        except (OSError, websocket.WebSocketException) as err:
            raise HostGone(f"{self}: {err}") from err
        socket.settimeout(1.0)

        def receive() -> Any:
            try:
                message = socket.recv()
            except websocket.WebSocketTimeoutException:
                return None
            except (OSError, websocket.WebSocketException) as err:
                raise HostGone(f"{self}: {err}") from err
            return json.loads(message) if isinstance(message, str) and message else {}

        try:
            yield receive
        finally:
            with contextlib.suppress(OSError, websocket.WebSocketException):
                socket.close(timeout=1)

    def _json(self, path: str) -> Any:
        with self._talking(), urllib.request.urlopen(self.url + path, timeout=self.seconds) as reply:
            return json.loads(reply.read())

    def _post(self, path: str, body: bytes, kind: str) -> tuple[int, Any]:
        request = urllib.request.Request(self.url + path, body, {"Content-Type": kind})
        with self._talking():
            try:
                with urllib.request.urlopen(request, timeout=self.seconds) as reply:
                    status, data = reply.status, reply.read()
            except urllib.error.HTTPError as err:
                status, data = err.code, err.read()
            try:
                return status, json.loads(data) if data else None
            except ValueError:
                return status, data.decode("utf-8", "replace")[:200]

    @contextlib.contextmanager
    def _talking(self) -> Iterator[None]:
        try:
            yield
        except urllib.error.HTTPError as err:
            if err.code >= 500:
                raise HostGone(f"{self}: {err}") from err
            raise InputError(f"{self} answers {err.code} to {err.url}", "an answer", "see its log") from err
        except (OSError, http.client.HTTPException, ValueError) as err:  # URLError is an OSError
            raise HostGone(f"{self}: {err}") from err


def output_entries(outputs: Mapping[str, Any], kinds: tuple[str, ...] = ("output",)) -> list[dict[str, Any]]:
    """The files that nodes named in their outputs, of some of the host's folders, each once."""
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for output in outputs.values():
        for entries in (output or {}).values():
            for entry in entries if isinstance(entries, list) else []:
                if isinstance(entry, dict) and "filename" in entry and entry.get("type", "output") in kinds:
                    key = (str(entry["filename"]), str(entry.get("subfolder", "")), str(entry.get("type", "output")))
                    found[key] = entry
    return list(found.values())


def _refusal(reply: Any) -> str:
    """Why a host refused a prompt, in its own words."""
    if not isinstance(reply, dict):
        return str(reply)
    errors = [
        f"{node.get('class_type')}: {error.get('message')} ({error.get('details')})"
        for node in (reply.get("node_errors") or {}).values()
        for error in node.get("errors", [])
    ]
    return "; ".join(errors) or str((reply.get("error") or {}).get("message", reply))
