"""The report of a study: one page, its numbers as JSON and CSV."""

from __future__ import annotations

import csv
import html
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..media import prepare_folder, write_bytes
from .plots import score_plot, share_plot
from .statistics import Evaluator, Share, Vote, agreement, bradley_terry, evaluators, shares, votes
from .store import AnswerStore
from .study_file import Study

STYLE = """
:root { color-scheme: light dark; --line: #8884; --ink: #777; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 980px; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; font-size: 14px; }
td, th { padding: .28rem .7rem; border-bottom: 1px solid var(--line); text-align: right; }
td:first-child, th:first-child { text-align: left; } p.note, small { color: var(--ink); }
.plot { background: #fff; color-scheme: light; border-radius: 6px; padding: 6px; }
.plot svg { max-width: 100%; height: auto; }
"""


def write_report(study: Study, folder: Path, out: Path) -> dict[str, Any]:
    """Writes ``report.html``, ``report.json``, ``shares.csv``, ``answers.csv`` and ``evaluators.csv``.

    Args:
        study: The study.
        folder: Where its answers lie.
        out: Folder to write to.

    Returns:
        What ``report.json`` holds.
    """
    store = AnswerStore(study, folder)
    rows = store.rows()
    found, checks = votes(study, rows), votes(study, rows, checks=True)
    counted = shares(study, found)
    people = evaluators(found, checks)
    questions = [q.key for q in study.questions if any(vote.question == q.key for vote in found)]
    scores = {q: bradley_terry(study.methods, [v for v in found if v.question == q], study) for q in questions}
    progress = store.progress()
    report: dict[str, Any] = {
        "title": study.title,
        "methods": study.methods,
        "pairs": len(progress),
        "pairs_complete": sum(count >= study.evaluators_a_pair for count in progress.values()),
        "evaluators_a_pair": study.evaluators_a_pair,
        "evaluators": len(people),
        "answers": len(found),
        "shares": [_share(share) for share in counted],
        "agreement": {name or "all": value for name, value in agreement(found).items()},
        "bradley_terry": scores,
        "looks_like_chance": [asdict(person) for person in people if person.why],
    }
    out = prepare_folder(out)
    write_bytes(out / "report.html", report_page(study, report, counted, people).encode())
    write_bytes(out / "report.json", json.dumps(report, indent=1, allow_nan=False).encode())
    write_bytes(out / "shares.csv", _csv([_share(share) for share in counted]))
    write_bytes(out / "answers.csv", _csv([_answer(study, vote) for vote in found]))
    write_bytes(out / "evaluators.csv", _csv([asdict(person) for person in people]))
    return report


def report_page(study: Study, report: dict[str, Any], counted: Sequence[Share], people: Sequence[Evaluator]) -> str:
    """The whole page."""
    parts = [
        f"<h1>{html.escape(study.title)}</h1>",
        f"<p class='note'>{report['answers']} answers of {report['evaluators']} evaluators; "
        f"{report['pairs_complete']} of {report['pairs']} pairs have all {study.evaluators_a_pair}.</p>",
    ]
    for first, second in dict.fromkeys((share.first, share.second) for share in counted):
        mine = [share for share in counted if (share.first, share.second) == (first, second)]
        parts.append(f"<h2>{html.escape(first)} or {html.escape(second)}</h2>")
        parts.append(f'<div class="plot">{share_plot(mine, first, second, study.methods)}</div>')
        parts.append(_table(mine, first, second, report["agreement"]))
    if len(study.methods) > 2 and report["bradley_terry"]:
        parts.append("<h2>Scores of the methods</h2>")
        parts.append(f'<div class="plot">{score_plot(report["bradley_terry"], study.methods)}</div>')
        parts.append(
            "<p class='note'>Bradley-Terry: log strengths, mean 0. A method that is 1 above another is preferred to it "
            "in 73 % of the cases. No significant difference counts half for each.</p>"
        )
    parts.append(_people(people))
    alpha = report["agreement"].get("all")
    parts.append(
        "<p class='note'>Intervals are exact binomial 95 % intervals of the share without junk, every answer taken as "
        "independent; answers of one evaluator, or to one pair, are less so. Krippendorff's alpha over all questions: "
        f"{'not defined' if alpha is None else format(alpha, '.3f')}; 1 is full agreement, 0 what chance gives.</p>"
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(study.title)}</title>'
        f"<style>{STYLE}</style></head><body>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _table(mine: Sequence[Share], first: str, second: str, alphas: dict[str, float | None]) -> str:
    rows = []
    for share in mine:
        low, high = share.interval
        won, junk, lost = share.with_junk
        alpha = alphas.get(share.question)
        rows.append(
            f"<tr><td>{html.escape(share.question)}</td>"
            f"<td>{share.without_junk:.1f} <small>{low:.1f} to {high:.1f}</small></td>"
            f"<td>{won:.1f}</td><td>{junk:.1f}</td><td>{lost:.1f}</td><td>{share.wins + share.losses + share.junk}</td>"
            f"<td>{'–' if alpha is None else format(alpha, '.2f')}</td></tr>"
        )
    a, b = html.escape(first), html.escape(second)
    return (
        f"<table><tr><th>question</th><th>prefer {a}, %<br><small>without junk, 95 % interval</small></th>"
        f"<th>{a}, %</th><th>no difference, %</th><th>{b}, %</th><th>answers</th><th>alpha, all methods</th></tr>"
        f"{''.join(rows)}</table>"
    )


def _people(people: Sequence[Evaluator]) -> str:
    odd = [person for person in people if person.why]
    if not odd:
        return "<h2>Evaluators</h2><p>Nobody's answers look like chance.</p>"
    rows = "".join(
        f"<tr><td><code>{html.escape(p.key)}</code></td><td>{p.answers}</td><td>{html.escape(p.why)}</td></tr>"
        for p in odd
    )
    return (
        f"<h2>Evaluators whose answers look like chance</h2><p class='note'>{len(odd)} of {len(people)}; their answers "
        "are counted. <code>fourreal study delete</code> removes them and frees their places.</p>"
        f"<table><tr><th>key</th><th>answers</th><th>why</th></tr>{rows}</table>"
    )


def _share(share: Share) -> dict[str, Any]:
    low, high = share.interval
    return {
        **asdict(share),
        "percent_without_junk": round(share.without_junk, 2),
        "low": round(low, 2),
        "high": round(high, 2),
        "percent_with_junk": [round(x, 2) for x in share.with_junk],
    }


def _answer(study: Study, vote: Vote) -> dict[str, Any]:
    pair = study.pair(vote.pair)
    return {
        "evaluator": vote.evaluator,
        "scene": pair.scene,
        "first": pair.first,
        "second": pair.second,
        "question": vote.question,
        "preferred": vote.choice or "junk",
        "side": vote.side,
    }


def _csv(rows: Sequence[dict[str, Any]]) -> bytes:
    """Rows with a head; what a spreadsheet would take for a formula is quoted."""
    if not rows:
        return b""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: f"'{v}" if isinstance(v, str) and v[:1] in "=+-@" else v for k, v in row.items()})
    return buffer.getvalue().encode()
