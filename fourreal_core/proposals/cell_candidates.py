"""Every colour that a missing cell may have: the view's own frame moved in time, the row's moved in view, a render.

The view's frame has the right light and detail, but not what has come since; the row's frame of the very moment has it,
seen from elsewhere. Either may be read back along a flow, or carried forward along the flow at its own pixels. None is
right everywhere; what chooses among them is in candidate_scorer and coherent_choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..flow.flow_field import Flow, on_picture, warp
from .cell_evidence import CellEvidence, read
from .forward_splatting import splat_forward
from .image_filters import Image, Mask, gaussian_blur

SCENE, STATIC, RENDER = "scene", "static", "render"
"""The view's frame along the scene's flow, as it is, and the scene's own render."""
CORRECTED = ("corrected_best", "corrected_direct", "corrected_chained")
"""The view's frame along the scene's flow, corrected by what the row measured beyond it, each way of measuring."""
ROW_CARRIED, OWN_CARRIED = "row_carried", "own_carried"
"""The view's frame, where the row's pixels of the cell's time are carried to the view by the match of their places at
the source's time; and its own pixels carried along the row's motion."""
ROW_COLOR, SCENE_ROW_COLOR, DENSE_ROW_COLOR = "row_color", "scene_row_color", "dense_row_color"
"""The row's frame in the view's light: where ROW_CARRIED leads, where the scene leads, and where all of the row's
pixels are carried, those without a sure match by that of their surroundings."""
ROW_COLORS = (ROW_COLOR, SCENE_ROW_COLOR, DENSE_ROW_COLOR)
KINDS = (SCENE, STATIC, *CORRECTED, ROW_CARRIED, OWN_CARRIED, *ROW_COLORS, RENDER)

MATCH_PX, GAP_PX = 3.0, 5.0
"""Errors of a match up to which pixels are carried, and gaps between them that are closed."""
LIGHT_PX, LIGHT_STEP = 8.0, 0.15
"""Window over which the light of two views is compared, and the most that one pixel counts."""
TRUST_GRAY, TRUST_RETURN_PX = 6.0, 2.0
"""Photometric and forward-backward error at which a row pixel's match counts 1/e as much; a match error of 1, too."""
SURROUNDINGS_PX, SURROUNDINGS_COLOR = 24.0, 0.15
"""Reach of what takes the match of its surroundings, and the colour difference over which they end."""
_LEAST_TRUST = 1e-4


@dataclass(frozen=True)
class CellCandidates:
    """K candidates for one cell.

    Attributes:
        kinds: ``(K,)`` each one's place in KINDS.
        flows: ``(K, H, W, 2)`` pixels from the cell to the source.
        across: ``(K, H, W, 2)`` pixels from the source's pixels there to the row then, and so from the cell to the row
            now.
        colors: ``(K, H, W, 3)`` in ``[0, 1]``.
        seen: ``(K, H, W)`` bool, where the picture that is read shows something.
        alpha: ``(H, W)`` coverage of the scene's render.
    """

    kinds: NDArray[np.int_]
    flows: Flow
    across: Flow
    colors: Image
    seen: Mask
    alpha: Image


def cell_candidates(
    evidence: CellEvidence, scene_flows: Sequence[Flow], scene_seen: Mask, render: Image, alpha: Image
) -> CellCandidates:
    """All candidates of a cell from one known cell of its view and one row, in the order of KINDS.

    Args:
        evidence: Around the cell.
        scene_flows: ``(H, W, 2)`` each from the cell to the source: the scene's, and its corrections by the row, of
            CORRECTED; where there are fewer, their first, or the scene's, stands for the others.
        scene_seen: ``(H, W)`` bool, where the scene has a flow.
        render: ``(H, W, 3)`` the scene's own picture of the cell.
        alpha: ``(H, W)`` its coverage.
    """
    scene = flow_of(SCENE, scene_flows)
    back = [scene, np.zeros_like(scene), *(flow_of(name, scene_flows) for name in CORRECTED)]
    ends = [(flow, warp(evidence.match, flow)) for flow in back]
    row, row_seen = _carried_row(evidence, *_matched(evidence))
    own, own_seen = _carried_own(evidence)
    dense, dense_seen = _carried_row(evidence, *_dense_parallax(evidence))
    ends += [row, (own, warp(evidence.match, own))]
    colors = [warp(evidence.source, flow) for flow, _ in ends]
    colors += [row_in_view_light(evidence, *each) for each in (row, ends[0], dense)]
    from_view = [evidence.readable(flow) for flow, _ in ends]
    for k, mask in ((0, scene_seen), (len(back), row_seen), (len(back) + 1, own_seen)):
        from_view[k] = from_view[k] & mask
    from_row = [evidence.readable(across) for _, across in (row, ends[0], dense)]
    from_row = [from_row[0] & row_seen, from_row[1], from_row[2] & dense_seen]
    ends += [row, ends[0], dense, ends[0]]
    return CellCandidates(
        kinds=np.arange(len(KINDS)),
        flows=np.stack([flow for flow, _ in ends]).astype(np.float32),
        across=np.stack([across for _, across in ends]).astype(np.float32),
        colors=np.stack([*colors, render]).clip(0, 1).astype(np.float32),
        seen=np.stack([*from_view, *from_row, alpha > 0]),
        alpha=alpha,
    )


def flow_of(kind: str, scene_flows: Sequence[Flow]) -> Flow:
    """The flow ``(H, W, 2)`` of SCENE or one of CORRECTED among those given (see cell_candidates)."""
    scene, *corrected = scene_flows
    place = (SCENE, *CORRECTED).index(kind) - 1
    if place < 0 or not corrected:
        return scene
    return corrected[place] if place < len(corrected) else corrected[0]


def row_in_view_light(evidence: CellEvidence, flow: Flow, across: Flow) -> Image:
    """What the row shows at the cell's time, in the light of the view.

    The light is what the view's frame differs from the row's at the source's time, over a window; a pixel counts at
    most LIGHT_STEP, so that a wrong match shifts no whole region.

    Args:
        evidence: Around the cell.
        flow: ``(H, W, 2)`` from the cell to the source.
        across: ``(H, W, 2)`` from the cell to the row now, and from the source to the row then.
    """
    difference = warp(evidence.source, flow) - warp(evidence.row_then, flow + across)
    light = gaussian_blur(np.clip(difference, -LIGHT_STEP, LIGHT_STEP), LIGHT_PX * evidence.scale)
    return np.asarray(warp(evidence.row_now, across) + light)


def _matched(evidence: CellEvidence) -> tuple[Flow, Image, Mask]:
    """Parallax, nearness and use of the row's pixels now: those with a sure match at the source's time."""
    error = read(evidence.match_back_error, evidence.back, 3 * MATCH_PX)
    usable = on_picture(evidence.back) & (error < MATCH_PX * evidence.error_scale)
    return read(evidence.match_back, evidence.back), read(evidence.row_nearness, evidence.back), usable


def _dense_parallax(evidence: CellEvidence) -> tuple[Flow, Image, Mask]:
    """The same of all pixels: those without a sure match take that of their surroundings of one colour."""
    from ..flow.edge_aware_filter import smooth

    scale, back = evidence.error_scale, evidence.back
    unexplained = 255 * np.abs(evidence.row_now - warp(evidence.row_then, back)).mean(-1)
    doubt = gaussian_blur(unexplained, 4 * evidence.scale) / TRUST_GRAY
    doubt = doubt + read(evidence.match_back_error, back, 3 * MATCH_PX) / scale
    doubt = doubt + np.minimum(evidence.back_error, 3 * MATCH_PX) / (TRUST_RETURN_PX * scale)
    trust = (np.exp(-doubt) * on_picture(back)).astype(np.float32)[..., None]
    values = np.concatenate([read(evidence.match_back, back), read(evidence.row_nearness, back)[..., None]], -1)
    weight = trust + _LEAST_TRUST
    reach = (SURROUNDINGS_PX * evidence.scale) ** 2
    spread = smooth(np.concatenate([values * weight, weight], -1), evidence.row_now, reach, SURROUNDINGS_COLOR)
    around = spread[..., :-1] / np.maximum(spread[..., -1:], 1e-12)
    mixed = (trust * values + (1 - trust) * around).astype(np.float32)
    return mixed[..., :2], mixed[..., 2], np.ones(back.shape[:2], bool)


def _carried_row(
    evidence: CellEvidence, parallax: Flow, nearness: Image, usable: Mask
) -> tuple[tuple[Flow, Flow], Mask]:
    """The row's pixels now carried to the view by their parallax: a cell's flow and way across, and where they are.

    The parallax of a point at the source's time is taken for that of the cell's time, too.
    """
    values = np.concatenate([evidence.back, -parallax], -1)
    carried, seen = splat_forward(parallax, nearness, values, usable, _gap_px(evidence))
    return (carried[..., :2], carried[..., 2:]), seen


def _carried_own(evidence: CellEvidence) -> tuple[Flow, Mask]:
    """The source's pixels carried along the row's motion: the flow from the cell to the source, and where it is."""
    forth = warp(evidence.forth, evidence.match)
    usable = read(evidence.forth_error, evidence.match, 3 * MATCH_PX) < MATCH_PX * evidence.error_scale
    return splat_forward(forth, evidence.source_nearness, -forth, usable, _gap_px(evidence))


def _gap_px(evidence: CellEvidence) -> int:
    return max(3, round(GAP_PX * evidence.scale))
