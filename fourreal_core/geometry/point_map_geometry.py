"""Geometry of a freeze-time clip from a network's point maps of pairs, aligned to the central frame.

The feed-forward start that the paper compares with (supplement 3): every frame is paired with the central one, both
ways. The pair seen from the centre gives where a frame's points are in the central camera space, the pair seen from the
frame where they are in its own; the similarity between both is its camera. No bundle adjustment, no flow.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..cameras import intrinsics_from_focal, pixel_grid
from ..errors import InputError
from ..flow.clip_flows import ClipFlows
from ..progress import OnStep, no_progress
from .geometry import Geometry
from .pair_models import PairModel
from .structure_from_motion import ParallaxOptions

_ROUNDS = 8


@dataclass(frozen=True)
class PointMapGeometry:
    """A geometry source: point maps of a network for two pictures.

    Attributes:
        model: The network.
    """

    model: PairModel

    def __call__(
        self,
        clip: ClipFlows,
        valid: Tensor | None = None,
        options: ParallaxOptions | None = None,
        on_step: OnStep = no_progress,
    ) -> Geometry:
        """See GeometrySource; the world is the central view's camera space, its median depth 1."""
        frames, views = clip.frames, len(clip)
        if views < 2:
            raise InputError(
                f"a freeze-time clip with {views} frame", "at least 2 frames", "give a clip in which the camera moves"
            )
        middle = views // 2
        counted = torch.ones(clip.size, dtype=torch.bool) if valid is None else valid
        order = sorted((v for v in range(views) if v != middle), key=lambda v: abs(v - middle))
        reference: Tensor | None = None
        depth, sure = torch.empty(views, *clip.size), torch.empty(views, *clip.size)
        world_to_cam, focals = torch.eye(4).repeat(views, 1, 1), []
        for done, v in enumerate(order, start=1):
            from_middle, from_view = self.model(frames[middle], frames[v]), self.model(frames[v], frames[middle])
            if reference is None:  # the nearest frame's pair sets the unit
                reference = from_middle.first
                depth[middle], sure[middle] = reference[..., 2], from_middle.first_confidence
                focals.append(focal_of(reference, from_middle.first_confidence, counted))
            unit = _ratio(reference, from_middle.first, from_middle.first_confidence, counted)
            weight = (from_middle.second_confidence * from_view.first_confidence).sqrt() * counted
            scale, to_middle = fit_similarity(
                from_view.first.reshape(-1, 3), unit * from_middle.second.reshape(-1, 3), weight.reshape(-1)
            )
            depth[v], sure[v] = scale * from_view.first[..., 2], from_view.first_confidence
            world_to_cam[v] = torch.linalg.inv(to_middle)
            focals.append(focal_of(from_view.first, from_view.first_confidence, counted))
            on_step(done, len(order))
        focal_px = float(torch.tensor(focals).median())
        intrinsics = intrinsics_from_focal(focal_px, clip.size).expand(views, 3, 3).clone()
        good = torch.isfinite(depth) & (depth > 0)
        if not bool((good[middle] & counted).any()):
            raise InputError(
                "point maps without a point before the camera", "points of the scene", "take another network"
            )
        found = Geometry(
            torch.where(good, depth, torch.ones(())),
            intrinsics,
            good,
            world_to_cam,
            (1 - 1 / sure.clamp_min(1)).clamp(0, 1),
        )
        return in_units(found, 1 / float(found.depth[middle][good[middle] & counted].median()))


def in_units(geometry: Geometry, factor: float) -> Geometry:
    """The same geometry with all lengths multiplied by a factor."""
    world_to_cam = geometry.world_to_cam
    if world_to_cam is not None:
        world_to_cam = world_to_cam.clone()
        world_to_cam[:, :3, 3] *= factor
    return replace(geometry, depth=geometry.depth * factor, world_to_cam=world_to_cam)


def focal_of(points: Tensor, confidence: Tensor, valid: Tensor) -> float:
    """Focal length in pixels that a point map ``(H, W, 3)`` of its own camera was made with: a weighted median."""
    size = (int(points.shape[0]), int(points.shape[1]))
    pixels = pixel_grid(size) - torch.tensor([size[1] / 2, size[0] / 2])
    rays = points[..., :2] / points[..., 2:].clamp_min(1e-6)
    length = (rays**2).sum(-1)
    good = valid & (points[..., 2] > 1e-6) & (length > 1e-8)
    if not bool(good.any()):
        return float(size[1])
    focal = ((pixels * rays).sum(-1) / length.clamp_min(1e-12))[good]
    weight = (length.sqrt() * confidence)[good]
    order = focal.argsort()
    cumulated = weight[order].cumsum(0)
    return float(focal[order][int(torch.searchsorted(cumulated, cumulated[-1] / 2))].clamp_min(1.0))


def fit_similarity(source: Tensor, target: Tensor, weight: Tensor) -> tuple[float, Tensor]:
    """The scale and rigid motion ``(4, 4)`` with ``target = motion(scale * source)``, robustly.

    Umeyama's closed form (1991) under Geman-McClure weights whose width follows the median residual.

    Args:
        source: ``(N, 3)``.
        target: ``(N, 3)``.
        weight: ``(N,)`` not negative.
    """
    kept = (weight > 0) & torch.isfinite(source).all(-1) & torch.isfinite(target).all(-1)
    p, q, w0 = source[kept].double(), target[kept].double(), weight[kept].double()
    motion, scale = torch.eye(4, dtype=torch.float64), 1.0
    if len(p) < 3:
        return scale, motion.float()
    w = w0
    for _ in range(_ROUNDS):
        mass = w.sum().clamp_min(1e-12)
        mean_p, mean_q = (w[:, None] * p).sum(0) / mass, (w[:, None] * q).sum(0) / mass
        a, b = p - mean_p, q - mean_q
        u, singular, vt = torch.linalg.svd((w[:, None] * b).T @ a / mass)
        flip = torch.ones(3, dtype=torch.float64)
        flip[2] = torch.sign(torch.det(u) * torch.det(vt))
        rotation = u @ (flip[:, None] * vt)
        scale = float((singular * flip).sum() / ((w[:, None] * a**2).sum() / mass).clamp_min(1e-12))
        motion[:3, :3], motion[:3, 3] = rotation, mean_q - scale * rotation @ mean_p
        error = (scale * p @ rotation.T + motion[:3, 3] - q).norm(dim=-1)
        width = 2 * error.median().clamp_min(1e-9)
        w = w0 / (1 + (error / width) ** 2) ** 2
    return scale, motion.float()


def _ratio(wanted: Tensor, given: Tensor, confidence: Tensor, valid: Tensor) -> float:
    """What a point map is multiplied by to have another one's unit: the median over its surer half."""
    sure = valid & (confidence >= confidence[valid].median())
    ratio = wanted.norm(dim=-1) / given.norm(dim=-1).clamp_min(1e-9)
    return float(ratio[sure].median())
