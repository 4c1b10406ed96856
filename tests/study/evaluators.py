"""Simulated evaluators over HTTP, who try again while the server is away."""

from __future__ import annotations

import http.client
import json
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

GIVE_UP_SECONDS = 120.0


@dataclass
class Visitor:
    """One evaluator with a cookie and a plan: presses on until there is no page left.

    Attributes:
        port: Of the server on loopback.
        seed: Of the answers.
        acknowledged: Pair, question and answer of everything that the server said it kept.
        pages: Pairs that were finished.
    """

    port: int
    seed: int
    acknowledged: list[tuple[str, str, str]] = field(default_factory=list)
    pages: list[str] = field(default_factory=list)
    cookie: str = ""

    def ask(self, method: str, path: str, body: str | None = None) -> tuple[int, str]:
        """One request, tried again while the server can't be reached."""
        end = time.monotonic() + GIVE_UP_SECONDS
        while True:
            try:
                link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
                headers = {"Cookie": self.cookie} if self.cookie else {}
                link.request(method, path, body, headers)
                reply = link.getresponse()
                text = reply.read().decode()
                link.close()
                if set_cookie := reply.getheader("set-cookie"):
                    self.cookie = set_cookie.split(";")[0]
                return reply.status, text
            except (OSError, http.client.HTTPException):
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def visit(self, most_pages: int, choose: Callable[[str, str], str] | None = None) -> None:
        """Answers pages until there is none, or as many as wanted."""
        rng = random.Random(self.seed)
        if not self.cookie:
            assert self.ask("POST", "/start")[0] == 303
        while len(self.pages) < most_pages:
            status, page = self.ask("GET", "/page")
            assert status == 200, page
            found = re.search(r'data-pair="(\w+)"', page)
            if found is None:
                assert "That was all" in page
                return
            questions = list(dict.fromkeys(re.findall(r'type="radio" name="(\w+)"', page)))
            finished = False
            for question in questions:
                answer = choose(found[1], question) if choose else rng.choice(["left", "right", "junk"])
                said = json.dumps({"pair": found[1], "question": question, "answer": answer})
                status, text = self.ask("POST", "/answer", said)
                assert status == 200, text
                self.acknowledged.append((found[1], question, answer))
                finished = json.loads(text)["finished"]
            assert finished
            self.pages.append(found[1])
