"""The pages that evaluators see, as HTML; no word of methods is in them."""

from __future__ import annotations

import html
from pathlib import Path

from .questions import JUNK, LEFT, RIGHT
from .store import Page
from .study_file import Study

WEB = Path(__file__).parent / "web"

CHOICES = ((LEFT, "left"), (JUNK, "no significant difference"), (RIGHT, "right"))


def start_page(study: Study, key: str | None, note: str = "") -> str:
    """Instructions, and how to begin or go on."""
    begin = (
        '<form method="get" action="page"><button class="main">Go on</button></form>' + own_answers(key)
        if key
        else '<form method="post" action="start"><button class="main">Begin</button></form>'
        '<form method="post" action="resume"><label class="soft">Been here before, with another browser? Your key: '
        '<input type="text" name="key" required> </label><button>Go on</button></form>'
    )
    told = f'<p id="state">{html.escape(note)}</p>' if note else ""
    asked = [q for q in study.questions if any(q in study.questions_of(pair) for pair in study.pairs)]
    questions = "".join(
        f"<li>{html.escape(q.text)} <span class='hint'>{html.escape(q.hint)}</span></li>" for q in asked
    )
    body = (
        f"<h1>{html.escape(study.title)}</h1><p>{html.escape(study.instructions)}</p><ol>{questions}</ol>{told}{begin}"
        "<p class='soft'>Only your answers are kept, under a random key. No name, no address.</p>"
    )
    return _document(study.title, f'<main class="narrow">{body}</main>')


def pair_page(study: Study, page: Page) -> str:
    """One pair with its questions."""
    pair = page.pair
    text = f"<blockquote>{html.escape(pair.text)}</blockquote>" if pair.text else ""
    videos = "".join(
        f'<figure><video src="video/{pair.key}/{side}" muted loop playsinline preload="auto"></video>'
        f"<figcaption>{side}</figcaption></figure>"
        for side in (LEFT, RIGHT)
    )
    fields = []
    for q in study.questions_of(pair):
        choices = "".join(
            f'<label><input type="radio" name="{q.key}" value="{value}"'
            f"{' checked' if page.answers.get(q.key) == value else ''}>{label}</label>"
            for value, label in CHOICES
        )
        fields.append(
            f'<fieldset><legend>{html.escape(q.text)}</legend><div><div class="ask">{html.escape(q.text)}</div>'
            f'<div class="hint">{html.escape(q.hint)}</div></div><div class="choices">{choices}</div></fieldset>'
        )
    body = (
        f"<header><h1>{html.escape(study.title)}</h1><span class='soft'>page {page.number + 1}</span></header>{text}"
        f'<div class="videos">{videos}</div><button id="again" type="button">Play both from the start</button>'
        f'<form id="questions" data-pair="{pair.key}">{"".join(fields)}</form>'
        '<div class="foot"><button id="next" class="main" disabled>Next</button><span id="state" role="status"></span>'
        '<a class="soft" href="./">Stop for now</a></div><script type="module" src="study.js"></script>'
    )
    return _document(study.title, body)


def done_page(study: Study, key: str) -> str:
    """Thanks: there is no page left for this evaluator."""
    body = f"<h1>{html.escape(study.title)}</h1><p>That was all. Thank you.</p>{own_answers(key)}"
    return _document(study.title, f'<main class="narrow">{body}</main>')


def own_answers(key: str) -> str:
    """An evaluator's key, and what they may do with their answers."""
    return (
        f"<p class='soft'>Your key, to go on with another browser: <code>{html.escape(key)}</code></p>"
        "<p class='soft'><a href='mine.json' download>Download my answers</a></p>"
        "<form method='post' action='delete'><button>Delete all my answers</button></form>"
    )


def message_page(title: str, text: str) -> str:
    """One sentence."""
    return _document(title, f'<main class="narrow"><h1>{html.escape(title)}</h1><p>{html.escape(text)}</p></main>')


def _document(title: str, body: str) -> str:
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f'<link rel="stylesheet" href="study.css"></head>\n<body>\n{body}\n</body></html>\n'
    )
