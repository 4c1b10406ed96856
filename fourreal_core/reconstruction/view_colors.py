"""Colours of splats from all views that see them, and by how much each view differs: its light, then its texture.

What ``dp_view`` is to positions (supplement eq. 3) these differences are to colours: the views of a generated clip
disagree in light and texture, and one colour a splat can only be their blur. The paper leaves this out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..cameras import inside_image, project, sample_map
from ..scene.scene4d import Scene4D

ROBUST = 0.1
"""Colour difference at which a view counts half in a splat's mean."""
ROUNDS = 3
"""Reweightings, of the light and of the mean."""
MOST_LIGHT = 2.0
"""Largest factor between the contrast of a view and that of the central one."""
FEWEST = 50
"""Points from which a view's light is fitted; from fewer, two numbers a channel would follow their texture."""
PRIOR = 1e-3
"""Variance of colours below which a view's light is rather an addend than a factor."""


@dataclass(frozen=True)
class ViewAppearance:
    """How the views of a clip show the splats.

    Attributes:
        shown: ``(V, N, 3)`` colours at the splats' places.
        seen: ``(V, N)`` bool, whether a view sees the splat there.
        common: ``(N, 3)`` robust mean over the views in the central view's light.
        light: ``(V, 2, 3)`` a factor and an addend a channel from the common colours to what each view shows.
    """

    shown: Tensor
    seen: Tensor
    common: Tensor
    light: Tensor

    def lit(self, colors: Tensor) -> Tensor:
        """Colours ``(N, 3)`` under every view's light, ``(V, N, 3)``."""
        return self.light[:, None, 0] * colors + self.light[:, None, 1]


def view_appearance(scene: Scene4D, frames: Tensor, valid: Tensor | None = None) -> ViewAppearance:
    """Measures how views show the splats, and the light that is each view's own.

    Per view a factor and an addend a channel are fitted to what it shares with the others; means are taken after the
    light is undone.

    Args:
        scene: Canonical splats with their visibility.
        frames: ``(V, H, W, 3)`` in ``[0, 1]``, the freeze-time clip.
        valid: ``(H, W)`` bool, pixels that show the scene.
    """
    shown, seen = _shown_colors(scene, frames.to(scene.splats.means), valid)
    common, light = scene.splats.colors, torch.empty(0)
    for _ in range(ROUNDS):
        light = _lights(common, shown, seen, scene.views // 2)
        common = _robust_mean((shown - light[:, None, 1]) / light[:, None, 0], seen, common)
    return ViewAppearance(shown, seen, common, light)


def gather_colors(scene: Scene4D, appearance: ViewAppearance, view_colors: bool = True) -> Scene4D:
    """Gives splats the robust mean of the colours that views show of them, and every view its differences.

    Where a view sees a splat, its difference is what it shows; elsewhere it is the view's light alone.

    Args:
        scene: Canonical splats.
        appearance: How the views show them.
        view_colors: Keep by how much each view differs; false is the ablation.
    """
    colors = appearance.common.clamp(0, 1)
    own = None
    if view_colors:
        own = torch.where(appearance.seen[..., None], appearance.shown, appearance.lit(colors)).clamp(0, 1) - colors
    return replace(scene, splats=replace(scene.splats, colors=colors), view_colors=own)


def in_light_of_views(scene: Scene4D, appearance: ViewAppearance) -> Scene4D:
    """The scene with the colours it has, in every view's light but not in its texture.

    So a splat in a wrong place still shows by its colour, which it would not if every view gave it its own.
    """
    colors = scene.splats.colors
    return replace(scene, view_colors=appearance.lit(colors).clamp(0, 1) - colors)


def common_colors(scene: Scene4D) -> Scene4D:
    """Splits colours anew: the splats' become the robust mean of what their views show, every view looks the same.

    A fit by rendering only knows the sum of the two, and leaves the splats' own where new cameras should not see them.

    Args:
        scene: With view colours.
    """
    if scene.view_colors is None:
        return scene
    own = scene.splats.colors + scene.view_colors
    shift = own.mean((1, 2), keepdim=True) - own.mean()  # light of a whole view, so that seams of visibility don't show
    colors = _robust_mean(own - shift, scene.visible, scene.splats.colors).clamp(0, 1)
    return replace(scene, splats=replace(scene.splats, colors=colors), view_colors=own - colors)


def _shown_colors(scene: Scene4D, frames: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
    """Colours ``(V, N, 3)`` that the views show at the splats' places, and whether they see them ``(V, N)`` bool."""
    h, w = scene.cameras.size
    shown, seen = [], []
    mask = torch.ones(h, w, dtype=torch.bool) if valid is None else valid
    mask = mask.to(frames.device)
    for v in range(scene.views):
        here = scene.in_view(v, 0)
        at = project(here, scene.cameras.intrinsics[v])
        inside = inside_image(at, (h, w)) & (here[:, 2] > 0)
        picture = torch.cat([frames[v], mask[..., None].to(frames)], -1)
        found = sample_map(picture, torch.where(inside[:, None], at, torch.zeros_like(at)))
        shown.append(found[:, :3])
        seen.append(scene.visible[v] & inside & (found[:, 3] > 0.99))
    return torch.stack(shown), torch.stack(seen)


def _lights(base: Tensor, shown: Tensor, seen: Tensor, central: int) -> Tensor:
    """Factor and addend ``(V, 2, 3)`` from the splats' colours to what every view shows; none for the central view."""
    light = torch.zeros(len(shown), 2, 3, device=base.device, dtype=base.dtype)
    light[:, 0] = 1
    for v in range(len(shown)):
        both = seen[v].nonzero()[:, 0]
        if v == central or len(both) < FEWEST:
            continue
        x, y = base[both], shown[v, both]
        weight = torch.ones_like(x)
        for _ in range(ROUNDS):
            mass = weight.sum(0)
            mx, my = (weight * x).sum(0) / mass, (weight * y).sum(0) / mass
            spread = (weight * (x - mx) ** 2).sum(0) + PRIOR * mass
            factor = ((weight * (x - mx) * (y - my)).sum(0) + PRIOR * mass) / spread
            factor = factor.clamp(1 / MOST_LIGHT, MOST_LIGHT)
            addend = my - factor * mx
            weight = 1 / (1 + ((y - factor * x - addend) / ROBUST) ** 2) ** 2
        light[v, 0], light[v, 1] = factor, addend
    return light


def _robust_mean(values: Tensor, seen: Tensor, start: Tensor) -> Tensor:
    """Mean ``(N, 3)`` of ``(V, N, 3)`` over the views that see a splat; ``start`` where none does."""
    count = seen[..., None].to(values)
    mean = torch.where(seen.any(0)[:, None], (count * values).sum(0) / count.sum(0).clamp_min(1), start)
    for _ in range(ROUNDS):
        weight = count / (1 + ((values - mean).norm(dim=-1, keepdim=True) / ROBUST) ** 2)
        mean = torch.where(seen.any(0)[:, None], (weight * values).sum(0) / weight.sum(0).clamp_min(1e-6), mean)
    return mean
