"""A small stand-in for a ComfyUI host: those parts of its HTTP interface and websocket that a client needs."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import socket
import struct
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_WEBSOCKET_KEY = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # of RFC 6455
OBJECT_INFO = {
    "LoadVideo": {"input": {"required": {"file": [["a.mp4"], {"video_upload": True}]}}},
    "Fit": {
        "input": {
            "required": {"clip": ["VIDEO"], "steps": ["INT", {}], "mode": [["fast", "slow"]]},
            "optional": {"weight": ["FLOAT", {}], "deep": ["BOOLEAN", {}]},
        }
    },
    "Save": {"input": {"required": {"images": ["IMAGE"], "prefix": ["STRING", {}]}}},
}
WORKFLOW = {
    "1": {"class_type": "LoadVideo", "inputs": {"file": "a.mp4"}, "_meta": {"title": "Clip v1.0"}},
    "2": {"class_type": "Fit", "inputs": {"clip": ["1", 0], "steps": 3, "mode": "fast"}, "_meta": {"title": "Fit"}},
    "3": {"class_type": "Save", "inputs": {"images": ["2", 0], "prefix": "out"}},
}


class FakeHost:
    """Runs on a free port of this machine, one prompt at a time.

    Args:
        seconds: What a prompt takes.
        busy: Prompts of others that are said to wait.
    """

    def __init__(self, seconds: float = 0.02, busy: int = 0) -> None:
        self.seconds, self.busy = seconds, busy
        self.info: dict[str, Any] = json.loads(json.dumps(OBJECT_INFO))
        self.prompts: list[dict[str, Any]] = []
        self.upload_count = 0
        self.uploads: dict[str, bytes] = {}
        self.history: dict[str, Any] = {}
        self.deleted: list[str] = []
        self.silent = False  # its websocket never says that a prompt ended
        self.die_at: int | None = None
        self._waiting: list[tuple[str, str, dict[str, Any]]] = []
        self._clients: dict[str, socket.socket] = {}
        self._open: set[socket.socket] = set()
        self._wake = threading.Condition()
        self._ended = False
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        for work in (self._server.serve_forever, self._work):
            threading.Thread(target=work, daemon=True).start()

    def __enter__(self) -> FakeHost:
        return self

    def __exit__(self, *exc: object) -> None:
        self.die()

    def die(self) -> None:
        """Closes everything at once."""
        with self._wake:
            if self._ended:
                return
            self._ended = True
            self._wake.notify_all()
        self._server.shutdown()
        self._server.server_close()
        for open_socket in [*self._open, *self._clients.values()]:
            for close in (lambda s: s.shutdown(socket.SHUT_RDWR), lambda s: s.close()):
                with contextlib.suppress(OSError):
                    close(open_socket)

    def queue(self, prompt: dict[str, Any], client: str) -> str:
        with self._wake:
            self.prompts.append(prompt)
            name = f"p{len(self.prompts)}"
            self._waiting.append((name, client, prompt))
            self._wake.notify_all()
        return name

    def waiting(self) -> int:
        return self.busy + len(self._waiting)

    def _work(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._ended or self._waiting)
                if self._ended:
                    return
                name, client, prompt = self._waiting[0]
            if self.die_at is not None and len(self.prompts) >= self.die_at:
                self.die()
                return
            time.sleep(self.seconds)
            self._finish(name, client, prompt)

    def _finish(self, name: str, client: str, prompt: dict[str, Any]) -> None:
        steps = prompt["2"]["inputs"]["steps"]
        kind, data = "execution_success", {"prompt_id": name}
        outputs: dict[str, Any] = {}
        if steps < 0:
            kind = "execution_error"
            data |= {"node_id": "2", "node_type": "Fit", "exception_message": f"steps is {steps}."}
        else:
            entry = {"filename": f"{name}.png", "subfolder": "x", "type": "output"}
            outputs = {"3": {"images": [entry, {"filename": "t.png", "subfolder": "", "type": "temp"}]}}
        with self._wake:
            self.history[name] = {"status": {"messages": [[kind, data]]}, "outputs": outputs, "prompt": prompt}
            self._waiting = [item for item in self._waiting if item[0] != name]
        if not self.silent:
            self.send(client, {"type": "progress", "data": {"prompt_id": name, "value": 1}})
            self.send(client, {"type": kind, "data": data})

    def send(self, client: str, message: dict[str, Any]) -> None:
        """One text frame."""
        data = json.dumps(message).encode()
        head = bytes([0x81, len(data)]) if len(data) < 126 else bytes([0x81, 126]) + struct.pack(">H", len(data))
        with contextlib.suppress(OSError, KeyError):
            self._clients[client].sendall(head + data)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections end in the middle here."""


def _handler(host: FakeHost) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def setup(self) -> None:
            super().setup()
            host._open.add(self.connection)

        def log_message(self, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            url = urllib.parse.urlsplit(self.path)
            query = dict(urllib.parse.parse_qsl(url.query))
            if url.path == "/ws":
                self._upgrade(query["clientId"])
            elif url.path == "/object_info":
                self._say(200, host.info)
            elif url.path == "/prompt":
                self._say(200, {"exec_info": {"queue_remaining": host.waiting()}})
            elif url.path == "/queue":
                self._say(200, {"queue_running": [[0, n, p] for n, _, p in host._waiting[:1]], "queue_pending": []})
            elif url.path.startswith("/history/"):
                name = url.path.rsplit("/", 1)[1]
                self._say(200, {name: host.history[name]} if name in host.history else {})
            elif url.path == "/view":
                name = query["filename"].split(".")[0]
                self._bytes(200, json.dumps(host.history[name]["prompt"]).encode())
            else:
                self._say(404, {})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/upload/image":
                head, _, rest = body.split(b'name="image"; filename="', 1)[1].partition(b"\r\n\r\n")
                name = head.split(b'"')[0].decode()
                host.upload_count += 1
                host.uploads[name] = rest.rsplit(b"\r\n--", 1)[0]
                self._say(200, {"name": name, "subfolder": "fourreal", "type": "input"})
            elif self.path == "/prompt":
                found = json.loads(body)
                if found["prompt"]["3"]["inputs"]["prefix"] == "refused":
                    error = {"message": "Bad prefix", "details": "prefix"}
                    self._say(400, {"node_errors": {"3": {"class_type": "Save", "errors": [error]}}})
                else:
                    self._say(200, {"prompt_id": host.queue(found["prompt"], found["client_id"])})
            elif self.path == "/queue":
                host.deleted += json.loads(body)["delete"]
                self._say(200, {})
            else:
                self._say(200, {})

        def _upgrade(self, client: str) -> None:
            key = self.headers["Sec-WebSocket-Key"] + _WEBSOCKET_KEY
            accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
            self.wfile.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                + f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
            )
            host._clients[client] = self.connection
            while self.connection.recv(4096):  # until the other side closes
                pass
            self.close_connection = True

        def _say(self, status: int, answer: Any) -> None:
            self._bytes(status, json.dumps(answer).encode())

        def _bytes(self, status: int, data: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    return Handler
