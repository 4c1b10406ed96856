"""``report.html``: one file with tables, plots, and cells side by side, the worst first."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from ..media.images import resize, to_uint8, webp_bytes
from .comparison import differences, mean_of, scene_values, worst_cells
from .figures import Figure, SceneFigures, WholeFigure
from .grids import TRUTH, EvaluatedGrid
from .plots import bars_of_figures, cells_map, differences_by_scene

CELL_WIDTH = 300
"""Widest a cell is shown, in pixels."""
_ERROR_GAIN = 4.0

Cell = tuple[int, int]
Methods = Mapping[str, Sequence[SceneFigures]]
Reader = Callable[[str, str], EvaluatedGrid]
"""Reads a method's grid of a scene; the truth's method is named ``truth``."""

STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --good: #2c8a4b; --bad: #c2483d; --ink: #777; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1060px; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; font-size: 13.5px; }
td, th { padding: .28rem .7rem; border-bottom: 1px solid var(--line);
 text-align: right; white-space: nowrap; } td:first-child, th:first-child { text-align: left; }
th { font-weight: 600; } small { color: var(--ink); } .wide { overflow-x: auto; }
.better { color: var(--good); } .worse { color: var(--bad); } .best { font-weight: 650; }
.plot { background: #fff; color-scheme: light; border-radius: 6px; padding: 6px; }
.plot svg { max-width: 100%; height: auto; }
.cells { display: flex; gap: 6px; flex-wrap: wrap; margin: .3rem 0 1.2rem; } figure { margin: 0; }
figcaption { font-size: 12px; color: var(--ink); }
img { display: block; border-radius: 3px; } p.note { color: var(--ink); }
"""


def report_page(
    methods: Methods,
    figures: Mapping[str, Figure],
    read: Reader,
    with_truth: bool,
    title: str,
    seed: int = 0,
    together: Sequence[WholeFigure] = (),
) -> str:
    """The whole page.

    Args:
        methods: Figures by method; the first is compared with the others.
        figures: Those that may be there.
        read: Reads the grids whose cells are shown.
        with_truth: There is a truth to show beside.
        title: Of the page.
        seed: Of the intervals.
        together: Figures of all scenes together.
    """
    present = {n: f for n, f in figures.items() if any(scene_values(s, n) for s in methods.values())}
    scenes = [scene.scene for scene in next(iter(methods.values()))]
    parts = [f"<h1>{html.escape(title)}</h1>", _summary(methods, present, len(scenes), seed, together)]
    if len(methods) > 1:
        parts.append(_differences(methods, present, seed))
    parts.append(f'<h2>By figure</h2><div class="plot">{bars_of_figures(methods, list(present.values()), seed)}</div>')
    parts.append(
        '<p class="note">Thick lines are 95 % intervals over scenes, small dots the scenes; the dotted line is what '
        "the given clips themselves have.</p>"
    )
    main = next((n for n in ("psnr", "warp_view") if n in present), None)
    if main and len(methods) > 1 and len(scenes) > 1:
        parts.append(f"<h2>{present[main].label} by scene</h2>")
        parts.append(f'<div class="plot">{differences_by_scene(methods, present[main], scenes)}</div>')
    if main:
        parts.append(_maps(methods, present[main]))
    parts.append(_worst(methods, present, read, with_truth))
    parts.append(_scenes(methods, present, scenes))
    parts.append(_meanings([*present.values(), *(whole.figure for whole in together)]))
    return _page(title, "\n".join(parts))


def _page(title: str, body: str) -> str:
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>'
        f"<body>\n{body}\n</body></html>\n"
    )


def _summary(
    methods: Methods, figures: Mapping[str, Figure], scenes: int, seed: int, together: Sequence[WholeFigure]
) -> str:
    own = next(iter(methods.values()))
    rows = []
    for figure in figures.values():
        means = {
            name: mean_of(values, seed)
            for name, found in methods.items()
            if (values := list(scene_values(found, figure.name).values()))
        }
        best = _best({name: mean.value for name, mean in means.items()}, figure)
        cells = []
        for name in methods:
            if name not in means:
                cells.append("<td>–</td>")
                continue
            mean, form = means[name], f".{figure.digits}f"
            spread = f" <small>{mean.low:{form}} to {mean.high:{form}}</small>" if mean.scenes > 1 else ""
            mark = ' class="best"' if name == best and len(means) > 1 else ""
            cells.append(f"<td{mark}>{mean.value:{form}}{spread}</td>")
        given = [s.reference[figure.name] for s in own if figure.name in s.reference]
        reference = f"{sum(given) / len(given):.{figure.digits}f}" if given else ""
        rows.append(f"<tr><td>{_named(figure)}</td>{''.join(cells)}<td>{reference}</td></tr>")
    for whole in together:
        best = _best(whole.values, whole.figure)
        marks = {name: ' class="best"' if name == best and len(methods) > 1 else "" for name in methods}
        cells = [
            f"<td{marks[name]}>{whole.values[name]:.{whole.figure.digits}f} <small>all scenes</small></td>"
            for name in methods
        ]
        rows.append(f"<tr><td>{_named(whole.figure)}</td>{''.join(cells)}<td></td></tr>")
    head = "".join(f"<th>{html.escape(name)}</th>" for name in methods)
    note = "1 scene" if scenes == 1 else f"{scenes} scenes; small: 95 % interval of the mean over scenes"
    return (
        f'<p class="note">{note}. The best mean is bold. Figures of consistency are best for a scene that stands '
        "still: read them beside <em>motion</em>.</p>"
        f'<div class="wide"><table><tr><th></th>{head}<th>given clips</th></tr>{"".join(rows)}</table></div>'
    )


def _differences(methods: Methods, figures: Mapping[str, Figure], seed: int) -> str:
    found = differences(methods, figures, seed)
    first, *others = methods
    rows = []
    for figure in figures.values():
        cells = []
        for other in others:
            one = next((d for d in found if d.figure == figure.name and d.against == other), None)
            if one is None:
                cells.append("<td>–</td>")
                continue
            form, kind = f"+.{figure.digits}f", one.verdict(figure)
            spread = f" <small>{one.mean.low:{form}} to {one.mean.high:{form}}</small>" if one.mean.scenes > 1 else ""
            wins = f" <small>({one.wins} of {one.mean.scenes} scenes)</small>" if one.mean.scenes > 1 else ""
            cells.append(f'<td class="{kind}">{one.mean.value:{form}}{spread}{wins}</td>')
        rows.append(f"<tr><td>{_named(figure)}</td>{''.join(cells)}</tr>")
    head = "".join(f"<th>less {html.escape(name)}</th>" for name in others)
    return (
        f"<h2>{html.escape(first)}, scene by scene</h2><p class='note'>Mean of the differences over the scenes that "
        "both have, its 95 % interval, and in how many scenes the first is better. Green or red where the interval "
        f'leaves out 0.</p><div class="wide"><table><tr><th></th>{head}</tr>{"".join(rows)}</table></div>'
    )


def _maps(methods: Methods, figure: Figure) -> str:
    maps = [(name, drawn) for name, found in methods.items() if (drawn := cells_map(found, figure))]
    shown = "".join(
        f'<figure class="plot">{drawn}<figcaption>{html.escape(name)}</figcaption></figure>' for name, drawn in maps
    )
    return f'<h2>Over the grid</h2><div class="cells">{shown}</div>' if shown else ""


def _worst(methods: Methods, figures: Mapping[str, Figure], read: Reader, with_truth: bool) -> str:
    first = next(iter(methods))
    ranked_by, worst = worst_cells(methods[first], figures)
    if not worst:
        return ""
    figure = figures[ranked_by]
    parts = [
        f"<h2>The worst cells of {html.escape(first)}</h2><p class='note'>By {figure.label}, at most two a scene"
        + (f"; error is the difference from the truth, {_ERROR_GAIN:.0f} times" if with_truth else "")
        + ".</p>"
    ]
    names = ([TRUTH] if with_truth else []) + list(methods)
    frames = _frames([(scene, cell) for scene, cell, _ in worst], names, read)
    for scene, cell, value in worst:
        shown: list[tuple[str, Tensor]] = []
        for name in names:
            if (frame := frames.get((scene, cell, name))) is None:
                continue
            shown.append((_caption(name, methods, scene, cell, figure), frame))
            if name == first and with_truth:
                apart = (frame - frames[scene, cell, TRUTH]).abs().mean(-1, keepdim=True)
                shown.append(("error", (apart * _ERROR_GAIN).clamp(0, 1).expand(-1, -1, 3)))
        pictures = "".join(
            f"<figure>{_picture(frame)}<figcaption>{text}</figcaption></figure>" for text, frame in shown
        )
        label = f"{html.escape(scene)}, view {cell[0]}, time {cell[1]}: {value:.{figure.digits}f} {figure.unit}"
        parts.append(f"<div><strong>{label}</strong></div><div class='cells'>{pictures}</div>")
    return "\n".join(parts)


def _frames(
    cells: Sequence[tuple[str, Cell]], names: Sequence[str], read: Reader
) -> dict[tuple[str, Cell, str], Tensor]:
    """Pictures by scene, cell and method, where they are; every grid is read once and not kept."""
    found = {}
    for scene in dict.fromkeys(scene for scene, _ in cells):
        for name in names:
            grid = read(name, scene)
            for cell in (cell for where, cell in cells if where == scene):
                if bool(grid.there[cell]):
                    found[scene, cell, name] = grid.frames[cell].clone()
    return found


def _caption(name: str, methods: Methods, scene: str, cell: Cell, figure: Figure) -> str:
    found = next((s for s in methods.get(name, ()) if s.scene == scene), None)
    value = None if found is None else found.cells.get(figure.name, {}).get(cell)
    return html.escape(name) + ("" if value is None else f" {value:.{figure.digits}f} {figure.unit}")


def _scenes(methods: Methods, figures: Mapping[str, Figure], scenes: Sequence[str]) -> str:
    if len(scenes) < 2:
        return ""
    head = "".join(f"<th>{html.escape(f.label)}</th>" for f in figures.values())
    rows = []
    for scene in scenes:
        for name, found in methods.items():
            one = next(s for s in found if s.scene == scene)
            cells = "".join(
                f"<td>{one.values[f.name]:.{f.digits}f}</td>" if f.name in one.values else "<td>–</td>"
                for f in figures.values()
            )
            rows.append(f"<tr><td>{html.escape(scene)} <small>{html.escape(name)}</small></td>{cells}</tr>")
    return f'<h2>Every scene</h2><div class="wide"><table><tr><th></th>{head}</tr>{"".join(rows)}</table></div>'


def _meanings(figures: Sequence[Figure]) -> str:
    rows = "".join(
        f"<dt><strong>{_named(f)}</strong></dt>"
        f"<dd>{html.escape(f.what)} <small>Made by {html.escape(f.maker)}.</small></dd>"
        for f in figures
    )
    return f"<h2>What the figures are</h2><dl>{rows}</dl>"


def _named(figure: Figure) -> str:
    arrow = {"higher": "↑", "lower": "↓", "one": "→ 1"}[figure.better]
    unit = f", {figure.unit}" if figure.unit else ""
    return f"{html.escape(figure.label)}{unit} {arrow}"


def _best(means: Mapping[str, float], figure: Figure) -> str | None:
    if not means:
        return None
    key = {"higher": lambda n: -means[n], "lower": lambda n: means[n], "one": lambda n: abs(means[n] - 1)}
    return min(means, key=key[figure.better])


def _picture(frame: Tensor) -> str:
    h, w = int(frame.shape[0]), int(frame.shape[1])
    size = (max(1, round(h * CELL_WIDTH / w)), CELL_WIDTH) if w > CELL_WIDTH else (h, w)
    data = base64.b64encode(webp_bytes(resize(to_uint8(torch.as_tensor(frame)), size))).decode()
    return f'<img src="data:image/webp;base64,{data}" width="{size[1]}" height="{size[0]}" alt="">'
