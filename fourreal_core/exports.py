"""Everything a scene can be exported to, as the command line and the nodes offer it; loads no writer."""

from __future__ import annotations

from .scene.formats.registry import FORMATS
from .scene.formats.scene_format import SceneFormat

PAGE = SceneFormat(
    name="html",
    endings=(".html", ".htm"),
    writes="one page that plays it in any browser",
    module=f"{__package__}.viewer.page_file",
    takes=frozenset({"fps", "compact"}),
)

EXPORTS: tuple[SceneFormat, ...] = (*FORMATS, PAGE)
"""In the order of menus: the formats of scenes, and the viewer's page."""
