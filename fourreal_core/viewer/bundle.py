"""The viewer's modules as one script: no build step, only what a page that is opened from disk can't load otherwise.

Browsers load no module from another file of the disk. The modules keep to two forms, ``import { names } from "./x.js"``
and ``export`` before a declaration, so each becomes a function that returns its exports.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "web"
_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./(\w+)\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?:async )?(?:function\*?|class|const) (\w+)", re.MULTILINE)


@cache
def bundled(entry: str) -> str:
    """One classic script that leaves the exports of a module in ``fourreal``.

    Args:
        entry: Name of the module, without ``.js``.
    """
    order: list[str] = []
    _visit(entry, order, ())
    parts = [_as_function(name) for name in order]
    return "".join(['"use strict";\n', *parts, f"const fourreal = {_variable(entry)};\n"])


def _visit(name: str, order: list[str], above: tuple[str, ...]) -> None:
    assert name not in above, f"modules of the viewer import each other in a circle: {' > '.join([*above, name])}"
    if name in order:
        return
    for _, other in _IMPORT.findall(_source(name)):
        _visit(other, order, (*above, name))
    order.append(name)


def _source(name: str) -> str:
    return (FOLDER / f"{name}.js").read_text(encoding="utf-8")


def _as_function(name: str) -> str:
    source = _source(name)
    exports = ", ".join(_EXPORT.findall(source))
    body = _IMPORT.sub(lambda m: f"const {{{m[1].replace(' as ', ': ')}}} = {_variable(m[2])};\n", source)
    body = re.sub(r"^export ", "", body, flags=re.MULTILINE)
    assert not re.search(r"^(import|export)\b", body, re.MULTILINE), f"{name}.js has a form that bundling doesn't know"
    return f"const {_variable(name)} = (() => {{\n{body}return {{ {exports} }};\n}})();\n"


def _variable(name: str) -> str:
    return f"module_{name}"
