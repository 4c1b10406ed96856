"""Colours of splats from all views that see them, and by how much each view differs: its light, then its texture.

What ``dp_view`` is to positions (supplement eq. 3) these differences are to colours: the views of a generated clip
disagree in light and texture, and one colour a splat can only be their blur. The paper leaves this out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..cameras import project
from ..errors import InputError
from ..scene.scene4d import Scene4D


@dataclass(frozen=True)
class AppearanceOptions:
    """How colours are gathered.

    Attributes:
        view_colors: Keep by how much each view differs; false is the ablation.
        robust: Colour difference at which a view counts half in a splat's mean.
        rounds: Reweightings, of the light and of the mean.
        most_light: Largest factor between the contrast of a view and that of the central one.
    """

    view_colors: bool = True
    robust: float = 0.1
    rounds: int = 3
    most_light: float = 2.0

    def __post_init__(self) -> None:
        if self.rounds < 1 or not (self.robust > 0 and self.most_light >= 1):
            raise InputError(
                f"{self.rounds} rounds, a robust width of {self.robust} and a factor of light of {self.most_light}",
                "at least one round, a positive width, a factor of at least 1",
                "leave them at their defaults",
            )


def gather_colors(
    scene: Scene4D, frames: Tensor, valid: Tensor | None = None, options: AppearanceOptions | None = None
) -> Scene4D:
    """Gives splats the robust mean of the colours that views show of them, and every view its differences.

    Per view a factor and an addend a channel are fitted to what it shares with the others: its light, which also
    colours what it doesn't see. Means are taken after the light is undone, in the central view's light. Where a view
    sees a splat, its difference is what it shows; elsewhere it is the light alone.

    Args:
        scene: Canonical splats with their visibility.
        frames: ``(V, H, W, 3)`` in ``[0, 1]``, the freeze-time clip.
        valid: ``(H, W)`` bool, pixels that show the scene.
        options: See AppearanceOptions.
    """
    options = options or AppearanceOptions()
    shown, seen = _shown_colors(scene, frames.to(scene.splats.means), valid)
    base, light = _common_light(scene, shown, seen, options)
    base = base.clamp(0, 1)
    if not options.view_colors:
        return replace(scene, splats=replace(scene.splats, colors=base), view_colors=None)
    own = torch.where(seen[..., None], shown, _lit(base, light)).clamp(0, 1)
    return replace(scene, splats=replace(scene.splats, colors=base), view_colors=own - base)


def in_light_of_views(
    scene: Scene4D, frames: Tensor, valid: Tensor | None = None, options: AppearanceOptions | None = None
) -> Scene4D:
    """The scene with the colours it has, in every view's light but not in its texture.

    So a splat in a wrong place still shows by its colour, which it would not if every view gave it its own.

    Args:
        scene: Canonical splats with their visibility.
        frames: ``(V, H, W, 3)`` in ``[0, 1]``, the freeze-time clip.
        valid: ``(H, W)`` bool, pixels that show the scene.
        options: See AppearanceOptions.
    """
    options = options or AppearanceOptions()
    shown, seen = _shown_colors(scene, frames.to(scene.splats.means), valid)
    _, light = _common_light(scene, shown, seen, options)
    return replace(scene, view_colors=_lit(scene.splats.colors, light).clamp(0, 1) - scene.splats.colors)


def common_colors(scene: Scene4D, robust: float = 0.1) -> Scene4D:
    """Splits colours anew: the splats' become the robust mean of what their views show, every view looks the same.

    A fit by rendering only knows the sum of the two, and leaves the splats' own where new cameras should not see them.

    Args:
        scene: With view colours.
        robust: Colour difference at which a view counts half.
    """
    if scene.view_colors is None:
        return scene
    own = scene.splats.colors + scene.view_colors
    shift = own.mean((1, 2), keepdim=True) - own.mean()  # light of a whole view, so that seams of visibility don't show
    base = _robust_mean(own - shift, scene.visible, scene.splats.colors, robust).clamp(0, 1)
    return replace(scene, splats=replace(scene.splats, colors=base), view_colors=own - base)


def _common_light(scene: Scene4D, shown: Tensor, seen: Tensor, options: AppearanceOptions) -> tuple[Tensor, Tensor]:
    """Colours ``(N, 3)`` in the central view's light, and the lights ``(V, 2, 3)`` of all views."""
    base = scene.splats.colors
    for _ in range(options.rounds):
        light = _lights(base, shown, seen, scene.views // 2, options)
        plain = (shown - light[:, None, 1]) / light[:, None, 0]
        base = _robust_mean(plain, seen, base, options.robust)
    return base, light


def _lit(colors: Tensor, light: Tensor) -> Tensor:
    """Colours ``(V, N, 3)`` under the views' lights ``(V, 2, 3)``."""
    return light[:, None, 0] * colors + light[:, None, 1]


def _shown_colors(scene: Scene4D, frames: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
    """Colours ``(V, N, 3)`` that the views show at the splats' places, and whether they see them ``(V, N)`` bool."""
    h, w = scene.cameras.size
    shown, seen = [], []
    mask = torch.ones(h, w, dtype=torch.bool) if valid is None else valid
    mask = mask.to(frames.device)
    for v in range(scene.views):
        here = scene.in_view(v, 0)
        at = project(here, scene.cameras.intrinsics[v])
        inside = (at >= 0).all(-1) & (at[:, 0] < w) & (at[:, 1] < h) & (here[:, 2] > 0)
        grid = torch.where(inside[:, None], at, torch.zeros_like(at)) / at.new_tensor([w, h]) * 2 - 1
        picture = torch.cat([frames[v], mask[..., None].to(frames)], -1).permute(2, 0, 1)
        found = torch.nn.functional.grid_sample(
            picture[None], grid[None, None], align_corners=False, padding_mode="border"
        )[0, :, 0].T
        shown.append(found[:, :3])
        seen.append(scene.visible[v] & inside & (found[:, 3] > 0.99))
    return torch.stack(shown), torch.stack(seen)


def _lights(base: Tensor, shown: Tensor, seen: Tensor, central: int, options: AppearanceOptions) -> Tensor:
    """Factor and addend ``(V, 2, 3)`` from the splats' colours to what every view shows; none for the central view."""
    light = torch.zeros(len(shown), 2, 3, device=base.device, dtype=base.dtype)
    light[:, 0] = 1
    for v in range(len(shown)):
        both = seen[v].nonzero()[:, 0]
        if v == central or len(both) < 50:  # two numbers a channel from fewer points would follow their texture
            continue
        x, y = base[both], shown[v, both]
        weight = torch.ones_like(x)
        for _ in range(options.rounds):
            mass = weight.sum(0)
            mx, my = (weight * x).sum(0) / mass, (weight * y).sum(0) / mass
            spread = (weight * (x - mx) ** 2).sum(0) + 1e-3 * mass  # drawn to the addend where there is no contrast
            factor = ((weight * (x - mx) * (y - my)).sum(0) + 1e-3 * mass) / spread
            factor = factor.clamp(1 / options.most_light, options.most_light)
            addend = my - factor * mx
            weight = 1 / (1 + ((y - factor * x - addend) / options.robust) ** 2) ** 2
        light[v, 0], light[v, 1] = factor, addend
    return light


def _robust_mean(values: Tensor, seen: Tensor, start: Tensor, width: float, rounds: int = 3) -> Tensor:
    """Mean ``(N, 3)`` of ``(V, N, 3)`` over the views that see a splat; ``start`` where none does."""
    count = seen[..., None].to(values)
    mean = torch.where(seen.any(0)[:, None], (count * values).sum(0) / count.sum(0).clamp_min(1), start)
    for _ in range(rounds):
        weight = count / (1 + ((values - mean).norm(dim=-1, keepdim=True) / width) ** 2)
        mean = torch.where(seen.any(0)[:, None], (weight * values).sum(0) / weight.sum(0).clamp_min(1e-6), mean)
    return mean
