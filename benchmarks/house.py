#!/usr/bin/env python3
"""Draws the packages of the core by floor with the arrows of their imports: docs/images/house.svg.

    python benchmarks/house.py [-o OUT.svg]

Floors are those of tests/test_imports.py, arrows are read from the code: an arrow is left out where others lead to the
same place, where it leads to the ground, and where it starts at the two users, which may import every floor.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from html import escape
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "images" / "house.svg"
WIDTH, BOX, GAP, TOP = 1310, 52, 14, 20
GROUND = 3
"""So many floors, which every package may use."""
USERS = {"nodes", "cli", "pipeline"}
BY_NAME = {("exports", "viewer")}
"""Imports that the code doesn't show: modules that are loaded by name."""
BOXES = {  # where a box begins, how wide it is, and what the package is
    "nodes": (160, 1130, "the ComfyUI nodes: schema, call, report; use every floor below"),
    "cli": (160, 1130, "the fourreal command; uses every floor below"),
    "exports": (820, 140, "formats by name"),
    "queueing": (980, 310, "workflows on several ComfyUI hosts"),
    "study": (160, 150, "people judge videos"),
    "viewer": (820, 140, "the web page"),
    "batch": (980, 310, "manifest to many jobs"),
    "evaluation": (160, 150, "figures, confidence"),
    "job_memory": (330, 130, "what a job takes"),
    "pipeline": (480, 320, "the main job, stage by stage"),
    "training": (980, 310, "data, trainer, experiments"),
    "synthetic": (980, 150, "seeded scenes, truth"),
    "sampling": (1140, 150, "noise to grid, chunks"),
    "reconstruction": (480, 150, "tracks to a 4D scene"),
    "proposals": (650, 150, "a missing cell's colours"),
    "model": (1140, 150, "video DiT, streams"),
    "scene": (480, 480, "splats, motion (eq. 3), lifetimes, render, file formats"),
    "tracking": (330, 470, "3D tracks of views and times"),
    "geometry": (160, 640, "cameras and depth, the fixed view's own motion"),
    "flow": (160, 640, "optical flow, one cache for the job"),
    "rasterizer": (820, 140, "splats to pictures"),
    "media": (160, 555, "clips, pictures, whole files"),
    "metrics": (735, 555, "PSNR, SSIM, tracks, memory"),
    "grid": (160, 363, "FrameGrid: cells, known cells"),
    "cameras": (543, 363, "OpenCV axes, world to camera"),
    "spread": (926, 364, "work in processes or on a cluster"),
    "errors": (160, 210, "got, expected, remedy"),
    "progress": (390, 210, "OnStep callbacks"),
    "compiled": (620, 210, "numba, or its plain twin"),
    "needed": (850, 210, "packages that may be missing"),
    "packed_frames": (1080, 210, "frames as bytes"),
}


def rules() -> ModuleType:
    """tests/test_imports.py: the floors, and what imports what."""
    spec = importlib.util.spec_from_file_location("test_imports", ROOT / "tests" / "test_imports.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def arrows(house: ModuleType) -> list[tuple[str, str]]:
    """Imports above the ground that no way over other packages stands for."""
    ground = set().union(*house.FLOORS[:GROUND])
    direct: dict[str, set[str]] = {part: {other for one, other in BY_NAME if one == part} for part in BOXES}
    for path in house.files():
        part = house.part_of(path)
        direct[part] |= house.imported_parts(path) - {part} - ground

    def reached(part: str) -> set[str]:
        return direct[part].union(*(reached(other) for other in direct[part]))

    return [
        (part, other)
        for part in sorted(direct.keys() - ground - {"cli", "nodes"})
        for other in sorted(direct[part])
        if not any(other in reached(between) for between in direct[part])
    ]


def text(x: float, y: float, words: str, size: int, color: str, more: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{color}"{more}>{escape(words)}</text>'


def box(part: str, y: float) -> list[str]:
    """A package: its name, and what it is."""
    x, width, words = BOXES[part]
    fill, middle = "#fff3e0" if part in USERS else "#ffffff", ' text-anchor="middle"'
    name = "nodes/" if part == "nodes" else part
    return [
        f'<rect x="{x}" y="{y:g}" width="{width}" height="{BOX}" rx="6" fill="{fill}" stroke="#90a4ae"/>',
        text(x + width / 2, y + 22, name, 15, "#263238", ' font-weight="600"' + middle),
        text(x + width / 2, y + 40, words, 12, "#546e7a", middle),
    ]


def line(start: str, end: str, tops: dict[str, float]) -> str:
    """An arrow: straight down where one box is over the other, else bent from the side."""
    (x1, w1, _), (x2, w2, _) = BOXES[start], BOXES[end]
    y1, y2 = tops[start] + BOX, tops[end] - 1
    left, right = max(x1, x2), min(x1 + w1, x2 + w2)
    if right > left:
        path = f"M{(left + right) / 2:g} {y1:g}V{y2:g}"
    else:
        side, x, y = (x1, x2 + 0.75 * w2, y1 - BOX / 2) if x1 > x2 else (x1 + w1, x2 + 0.25 * w2, y1 - BOX / 2)
        path = f"M{side:g} {y:g}C{(side + x) / 2:g} {y:g} {x:g} {y:g} {x:g} {y2:g}"
    return f'<path d="{path}" fill="none" stroke="#455a64" stroke-width="1.4" marker-end="url(#tip)"/>'


def drawing(house: ModuleType) -> str:
    """The picture's text, by ``rules``."""
    floors = [(None, {"nodes"}), *reversed([(str(k), parts) for k, parts in enumerate(house.FLOORS)])]
    tops, bands, boxes, y = {}, [], [], float(TOP)
    for name, parts in floors:
        y += {str(len(house.FLOORS) - 1): 34, str(GROUND - 1): 16}.get(name or "", 0)
        if name is not None:
            fill = "#eceff1" if int(name) < GROUND else "#f1f5f7"
            bands.append(f'<rect x="60" y="{y - 5:g}" width="{WIDTH - 76}" height="{BOX + 10}" rx="5" fill="{fill}"/>')
            bands.append(text(104, y + BOX / 2 + 5, name, 15, "#78909c", ' text-anchor="middle"'))
        for part in sorted(parts):
            tops[part] = y
            boxes += box(part, y)
        y += BOX + GAP
    height, core, ground = y + 6, tops["cli"] - 32, tops["media"] + 1.5 * BOX + GAP
    turned = f' text-anchor="middle" transform="rotate(-90 38 {ground:g})"'
    family = "system-ui, Segoe UI, Roboto, Helvetica, Arial, sans-serif"
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" font-family="{family}">',
        "<title>The packages of fourreal_core by floor; imports run downward</title>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#455a64"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{height:g}" rx="10" fill="#fafafa"/>',
        f'<rect x="12" y="{core:g}" width="{WIDTH - 24}" height="{height - core - 12:g}" rx="8" fill="none" '
        'stroke="#b0bec5" stroke-dasharray="5 4"/>',
        text(24, core + 18, "fourreal_core", 13, "#607d8b", ' font-weight="600"'),
        *bands,
        text(38, ground, "arrows to the ground: left out", 12, "#607d8b", turned),
        *(line(*pair, tops) for pair in arrows(house)),
        *boxes,
        "</svg>\n",
    ])  # fmt: skip


def main() -> int:
    """Writes the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, default=PICTURE)
    parser.parse_args().out.write_text(drawing(rules()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
