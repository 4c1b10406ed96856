"""A study answered in a real browser: what an evaluator sees, that every choice is kept at once, and the way on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from fourreal_core.media import save_image
from fourreal_core.study.make_study import MakeOptions, make_study
from fourreal_core.study.store import AnswerStore
from fourreal_core.study.study_file import Study

pytestmark = pytest.mark.browser
pytest.importorskip("uvicorn", reason="uvicorn is not installed (study extra)")
pytest.importorskip("starlette", reason="starlette is not installed (study extra)")

TIMEOUT = 60_000


@pytest.fixture
def study(tmp_path: Path) -> tuple[Study, Path]:
    """Two methods of two scenes, six small frames each; one scene has a description."""
    methods: dict[str, dict[str, Path]] = {}
    for name, level in (("bright", 0.8), ("dark", 0.3)):
        for scene in ("boat", "cat"):
            folder = tmp_path / name / scene
            folder.mkdir(parents=True)
            for v in range(2):
                for t in range(3):
                    cell = torch.full((96, 160, 3), level)
                    cell[20 + 10 * t : 50 + 10 * t, 30 + 40 * v : 70 + 40 * v] = torch.tensor([0.9, 0.4, 0.1])
                    save_image(cell, folder / f"v{v}_t{t}.png")
            methods.setdefault(name, {})[scene] = folder
    folder = tmp_path / "study"
    return make_study(methods, folder, MakeOptions(texts={"cat": "A <cat> that jumps."})), folder


@pytest.fixture
def address(study: tuple[Study, Path]) -> Iterator[str]:
    """Of the study, served by a thread of this process."""
    import uvicorn

    from fourreal_core.study.server import StudyServer, study_app

    server = StudyServer(*study)
    config = uvicorn.Config(study_app(server), log_level="warning", access_log=False, lifespan="off")
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [server.socket]}, daemon=True)
    thread.start()
    yield server.address
    running.should_exit = True
    thread.join(timeout=30)


def answer_page(page: Any, bright: str = "bright") -> list[str]:
    """Chooses the brighter video in every question but the last, which is junk; says what was asked."""
    page.wait_for_function("[...document.querySelectorAll('video')].every((v) => v.readyState >= 2)", timeout=TIMEOUT)
    levels = page.evaluate(
        """() => [...document.querySelectorAll("video")].map((video) => {
          const canvas = new OffscreenCanvas(8, 8), draw = canvas.getContext("2d");
          draw.drawImage(video, 0, 0, 8, 8);
          return draw.getImageData(0, 0, 1, 1).data[1];
        })"""
    )
    side = "left" if levels[0] > levels[1] else "right"
    fields = page.locator("fieldset")
    count = fields.count()
    assert page.locator("#next").is_disabled()
    for k in range(count):
        wanted = "no significant difference" if k == count - 1 else side
        with page.expect_response("**/answer") as kept:
            fields.nth(k).get_by_text(wanted, exact=True).click()
        assert kept.value.ok
    page.wait_for_function("!document.getElementById('next').disabled", timeout=TIMEOUT)
    return [fields.nth(k).locator(".ask").inner_text() for k in range(count)]


def test_a_whole_visit(chromium: Any, study: tuple[Study, Path], address: str) -> None:
    made, folder = study
    context = chromium.new_context(viewport={"width": 1180, "height": 900})
    page = context.new_page()
    page.set_default_timeout(TIMEOUT)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    page.get_by_role("button", name="Begin").click()
    asked = {}
    for number in (1, 2):
        page.wait_for_selector("#questions")
        assert f"page {number}" in page.locator("header").inner_text()
        text = page.locator("blockquote").inner_text() if page.locator("blockquote").count() else ""
        asked[text] = answer_page(page)
        assert not any(word in page.content() for word in ("bright", "dark", "boat"))
        page.get_by_role("button", name="Next").click()
    page.wait_for_selector("text=That was all")
    assert {text: len(questions) for text, questions in asked.items()} == {"A <cat> that jumps.": 7, "": 6}
    rows = AnswerStore(made, folder).rows()
    assert len(rows) == 13 and all(row["finished"] for row in rows)
    assert [row["answer"] for row in rows].count("junk") == 2
    key = page.locator("code").inner_text()
    assert {row["evaluator"] for row in rows} == {key} and key not in address
    page.get_by_role("button", name="Delete all my answers").click()
    page.wait_for_selector("text=13 answers were removed")
    assert AnswerStore(made, folder).rows() == [] and errors == []
    context.close()


def test_who_stops_goes_on_and_what_is_chosen_stays(chromium: Any, study: tuple[Study, Path], address: str) -> None:
    made, folder = study
    context = chromium.new_context()
    page = context.new_page()
    page.set_default_timeout(TIMEOUT)
    page.goto(address)
    page.get_by_role("button", name="Begin").click()
    page.wait_for_selector("#questions")
    first = page.locator("#questions").get_attribute("data-pair")
    with page.expect_response("**/answer"):
        page.locator("fieldset").nth(2).get_by_text("right", exact=True).click()
    page.get_by_text("Stop for now").click()
    page.get_by_role("button", name="Go on").click()
    page.wait_for_selector("#questions")
    assert page.locator("#questions").get_attribute("data-pair") == first
    chosen = page.evaluate("[...document.querySelectorAll('input:checked')].map((i) => [i.name, i.value])")
    assert chosen == [[made.questions[2].key, "right"]]
    # the server doesn't answer for a while: the page says so, tries again, and only then goes on
    page.route("**/answer", lambda route: route.abort())
    page.locator("fieldset").nth(0).get_by_text("left", exact=True).click()
    page.wait_for_selector("text=Not kept yet")
    page.unroute("**/answer")
    page.wait_for_function("document.getElementById('state').textContent === ''", timeout=TIMEOUT)
    kept = {row["question"]: row["answer"] for row in AnswerStore(made, folder).rows()}
    assert kept == {made.questions[2].key: "right", made.questions[0].key: "left"}
    page.keyboard.press("Tab")  # choices can be reached by the keyboard
    assert page.evaluate("document.activeElement !== document.body")
    context.close()
