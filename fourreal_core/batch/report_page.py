"""A page that shows a batch: what failed and why, then the contact sheets of what is done."""

from __future__ import annotations

import html
from collections.abc import Iterator
from itertools import islice
from typing import Any
from urllib.parse import quote

from .fingerprint import join
from .ledger import Ledger
from .storage import put_bytes

PAGE = "report.html"
JOBS_A_PAGE = 500
_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".gif")
_STYLE = """
:root { color-scheme: light dark; font: 15px/1.45 system-ui, sans-serif; }
body { margin: 2rem auto; max-width: 88rem; padding: 0 1rem; }
.jobs { display: grid; grid-template-columns: repeat(auto-fill, minmax(18rem, 1fr)); gap: 1rem; }
article { border: 1px solid #8886; border-radius: 6px; padding: .6rem; overflow-wrap: anywhere; }
article.failed { border-color: #c33; grid-column: 1 / -1; }
article h2 { font-size: 1rem; margin: 0 0 .3rem; }
article img { width: 100%; height: auto; display: block; background: #8882; }
p { margin: .3rem 0; } .failed p { color: #c33; } nav a { margin-right: .6rem; } small { opacity: .75; }
"""


def write_report_page(out: str, ledger: Ledger, title: str) -> list[str]:
    """Writes ``report.html``, and ``report_2.html`` and so on where there are more than 500 jobs.

    Args:
        out: The batch's output folder.
        ledger: With the jobs' records.
        title: Of the page.

    Returns:
        Names of the files.
    """
    counts = ledger.counts()
    total = sum(counts.values())
    pages = max(1, -(-total // JOBS_A_PAGE))
    records = ledger.failed_first()
    written = []
    for page in range(1, pages + 1):
        jobs = "\n".join(_job(record) for record in islice(records, JOBS_A_PAGE))
        head = f"{counts['done']} of {len(ledger)} jobs done, {counts['failed']} failed"
        text = (
            f'<!doctype html>\n<html lang="en"><meta charset="utf-8">\n<title>{html.escape(title)}</title>\n'
            f'<meta name="viewport" content="width=device-width">\n<style>{_STYLE}</style>\n'
            f"<h1>{html.escape(title)}</h1>\n<p>{head}.</p>\n{_links(page, pages)}"
            f'<div class="jobs">\n{jobs}\n</div>\n{_links(page, pages)}</html>\n'
        )
        put_bytes(join(out, page_name(page)), text.encode())
        written.append(page_name(page))
    return written


def page_name(page: int) -> str:
    """File name of a page, from 1."""
    return PAGE if page == 1 else f"report_{page}.html"


def _links(page: int, pages: int) -> str:
    if pages == 1:
        return ""
    return "<nav>" + "".join(_link(k, k == page) for k in range(1, pages + 1)) + "</nav>\n"


def _link(page: int, here: bool) -> str:
    return f"<b>{page}</b> " if here else f'<a href="{page_name(page)}">{page}</a>'


def _job(record: dict[str, Any]) -> str:
    name, folder = html.escape(str(record["id"])), quote(str(record["id"]))
    if record["state"] == "failed":
        again = f", {record['tries']} tries" if record.get("tries", 1) > 1 else ""
        return f'<article class="failed"><h2>{name}</h2><p>{html.escape(str(record["error"]))}{again}</p></article>'
    warnings = "".join(f"<p>{html.escape(text)}</p>" for text in record.get("warnings", ()))
    files = record.get("files")
    if files is None:  # what `fourreal run` leaves
        page, picture, links = f"{folder}/viewer.html", f"{folder}/contact_sheet.png", ""
    else:
        shown = [f"{folder}/{quote(name)}" for name in files if name.lower().endswith(_PICTURES)]
        page, picture = f"{folder}/", shown[0] if shown else ""
        links = "".join(f'<a href="{folder}/{quote(name)}">{html.escape(name)}</a> ' for name in files)
    image = f'<a href="{page}"><img loading="lazy" alt="" src="{picture}"></a>' if picture else ""
    return (
        f'<article><h2><a href="{page}">{name}</a></h2>{image}'
        f"<p><small>{'; '.join(_figures(record))}</small></p>{f'<p>{links}</p>' if links else ''}{warnings}</article>"
    )


def _figures(record: dict[str, Any]) -> Iterator[str]:
    if record.get("views") and record.get("times"):
        yield f"{record['views']} views, {record['times']} times of {record.get('width')} x {record.get('height')}"
    if record.get("splats") is not None:
        yield f"{record['splats']:,} splats"
    if record.get("seconds") is not None:
        yield f"{record['seconds']:.1f} s"
