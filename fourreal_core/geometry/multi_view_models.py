"""Networks that make depth and cameras of many pictures at once: VGGT and Depth Anything 3, through their packages.

VGGT: Wang et al., CVPR 2025; Depth Anything 3: Lin et al. 2025. Nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..flow.checkpoint_files import read_weights
from ..flow.clip_flows import ClipFlows
from ..progress import OnStep, no_progress
from .geometry import Geometry
from .structure_from_motion import ParallaxOptions

VGGT_WIDTH_PX, PATCH_PX = 518, 14


@dataclass(frozen=True)
class MultiViewPoints:
    """What a network makes of V pictures.

    Attributes:
        depth: ``(V, H, W)`` z-depth in the network's units, positive.
        intrinsics: ``(V, 3, 3)`` in pixels of the pictures.
        world_to_cam: ``(V, 4, 4)``, OpenCV axes.
        confidence: ``(V, H, W)`` as the network gives it.
    """

    depth: Tensor
    intrinsics: Tensor
    world_to_cam: Tensor
    confidence: Tensor


class MultiViewModel(Protocol):
    """Anything that makes depth and cameras of many pictures."""

    @property
    def name(self) -> str:
        """The network's own name."""

    def __call__(self, frames: Tensor) -> MultiViewPoints:
        """Depth, cameras and confidence of frames ``(V, H, W, 3)`` in ``[0, 1]``."""


@dataclass(frozen=True)
class FeedForwardGeometry:
    """A geometry source: the network's own depth *and* cameras, without bundle adjustment.

    Attributes:
        model: The network.
    """

    model: MultiViewModel

    def __call__(
        self,
        clip: ClipFlows,
        valid: Tensor | None = None,
        options: ParallaxOptions | None = None,
        on_step: OnStep = no_progress,
    ) -> Geometry:
        """See GeometrySource; the world is the central view's camera space, its median depth 1."""
        found = self.model(clip.frames)
        on_step(1, 1)
        return around_central_view(found, valid)


def around_central_view(found: MultiViewPoints, valid: Tensor | None = None) -> Geometry:
    """A network's depth and cameras with the central view's camera space as the world and its median depth as 1."""
    middle = len(found.depth) // 2
    good = torch.isfinite(found.depth) & (found.depth > 0)
    counted = found.depth[middle][good[middle] if valid is None else good[middle] & valid]
    if not counted.numel():
        raise InputError("a network's depth without a positive pixel", "depth of the scene", "take another geometry")
    unit = counted.median()
    home = torch.linalg.inv(found.world_to_cam[middle].double())
    world_to_cam = (found.world_to_cam.double() @ home).float()
    world_to_cam[:, :3, 3] /= unit
    sure = found.confidence / (1 + found.confidence)
    depth = torch.where(good, found.depth / unit, torch.ones(()))
    return Geometry(depth, found.intrinsics, good, world_to_cam, sure.clamp(0, 1))


class Vggt:
    """VGGT behind MultiViewModel.

    Args:
        checkpoint: Its published weights, ``model.pt`` or ``model.safetensors``, or the folder that holds them.
        device: Where it runs.

    Raises:
        InputError: No package, no checkpoint, or one of something else.
    """

    name = "vggt"

    def __init__(self, checkpoint: str, device: str = "cpu") -> None:
        try:
            from vggt.models.vggt import VGGT
            from vggt.utils.pose_enc import pose_encoding_to_extri_intri
        except ImportError as err:
            raise InputError(f"no package vggt here ({err})", "it", "install VGGT as its authors say") from err
        path = Path(checkpoint)
        names = ("model.safetensors", "model.pt")
        path = next((path / n for n in names if (path / n).is_file()), path) if path.is_dir() else path
        if not path.is_file():
            raise InputError(f"no file {path}", "VGGT's weights", "check the name; they are not downloaded here")
        network: nn.Module = VGGT()
        missing = network.load_state_dict(read_weights(path), strict=False).missing_keys
        if missing:
            raise InputError(f"{path.name} without {missing[0]}", "VGGT's weights", "choose another file")
        self.network, self.device = network.eval().to(device), device
        self._cameras: Callable[..., Any] = pose_encoding_to_extri_intri

    def __call__(self, frames: Tensor) -> MultiViewPoints:
        """See MultiViewModel; frames are brought to 518 pixels of width and whole patches."""
        v, h, w = frames.shape[:3]
        size = (max(PATCH_PX, round(h * VGGT_WIDTH_PX / w / PATCH_PX) * PATCH_PX), VGGT_WIDTH_PX)
        images = nn.functional.interpolate(
            frames.permute(0, 3, 1, 2).float(), size, mode="bicubic", antialias=True
        ).clamp(0, 1)
        with torch.inference_mode():
            made = self.network(images.to(self.device))
            extrinsic, intrinsic = self._cameras(made["pose_enc"], size)
        world_to_cam = torch.eye(4).repeat(v, 1, 1)
        world_to_cam[:, :3] = extrinsic[0].float().cpu()
        scale = torch.tensor([[w / size[1]], [h / size[0]], [1.0]])
        return MultiViewPoints(
            _sized(made["depth"][0, ..., 0], (h, w)),
            intrinsic[0].float().cpu() * scale,
            world_to_cam,
            _sized(made["depth_conf"][0], (h, w)),
        )


class DepthAnything3:
    """Depth Anything 3 behind MultiViewModel, by its own package.

    Args:
        folder: Its published weights with ``config.json``.
        device: Where it runs.

    Raises:
        InputError: No package, or no such folder.
    """

    name = "da3"

    def __init__(self, folder: str, device: str = "cpu") -> None:
        try:
            from depth_anything_3.api import DepthAnything3 as Network
        except ImportError as err:
            raise InputError(
                f"no package depth_anything_3 that works here ({err})", "it", "python -m pip install depth-anything-3"
            ) from err
        if not Path(folder).is_dir():
            raise InputError(f"no folder {folder}", "Depth Anything 3's weights", "check the name")
        self.network: Any = Network.from_pretrained(folder, local_files_only=True).to(device)

    def __call__(self, frames: Tensor) -> MultiViewPoints:
        """See MultiViewModel."""
        v, h, w = frames.shape[:3]
        pictures = [(frame.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy() for frame in frames]
        made = self.network.inference(pictures)
        if made.extrinsics is None or made.intrinsics is None:
            raise InputError("a Depth Anything 3 without cameras", "one of the any-view series", "choose another")
        depth = torch.as_tensor(made.depth).float()
        world_to_cam = torch.eye(4).repeat(v, 1, 1)
        world_to_cam[:, :3] = torch.as_tensor(made.extrinsics).float()[:, :3]
        scale = torch.tensor([[w / depth.shape[2]], [h / depth.shape[1]], [1.0]])
        sure = getattr(made, "conf", None)
        confidence = torch.ones_like(depth) if sure is None else torch.as_tensor(sure).float()
        return MultiViewPoints(
            _sized(depth, (h, w)),
            torch.as_tensor(made.intrinsics).float() * scale,
            world_to_cam,
            _sized(confidence, (h, w)),
        )


MULTI_VIEW_MODELS: dict[str, Callable[[str, str], MultiViewModel]] = {"vggt": Vggt, "da3": DepthAnything3}
"""Makers by name; each gets what stands behind the colon and the device."""


def _sized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """``(V, h, w)`` at the pictures' size ``(V, H, W)`` on the CPU."""
    image = maps.float()[:, None]
    return nn.functional.interpolate(image, size, mode="bilinear", align_corners=False)[:, 0].cpu().clone()
