"""A depth network of the Hugging Face hub as a source of geometry, through ``transformers``.

Nothing is downloaded: the network must be on this disk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..cameras import Cameras
from ..errors import InputError
from ..flow.clip_flows import ClipFlows
from ..progress import OnStep, no_progress
from .depth_maps import DepthPictures, Kind
from .geometry import Geometry
from .structure_from_motion import ParallaxOptions

_METRIC_FAMILIES = ("zoedepth", "glpn", "depth_pro")


@dataclass(frozen=True)
class HuggingFaceDepth:
    """A geometry source: a monocular depth network by its hub name or the folder it was saved to.

    Attributes:
        name: Such as ``depth-anything/Depth-Anything-V2-Small-hf``.
        device: Where the network runs.
        cameras: Of the frames, where they are known; found by parallax when None.
    """

    name: str
    device: str = "cpu"
    cameras: Cameras | None = None

    def __call__(
        self,
        clip: ClipFlows,
        valid: Tensor | None = None,
        options: ParallaxOptions | None = None,
        on_step: OnStep = no_progress,
    ) -> Geometry:
        """See GeometrySource.

        Raises:
            InputError: No ``transformers``, no such network on disk, or what DepthPictures refuses.
        """
        half = max(1, len(clip))
        pictures, kind = self.predict(clip.frames, lambda done, n, preview=None: on_step(done, 2 * half))
        return DepthPictures(pictures, kind, self.cameras)(
            clip, valid, options, lambda done, n, preview=None: on_step(half + half * done // n, 2 * half)
        )

    def predict(self, frames: Tensor, on_step: OnStep = no_progress) -> tuple[Tensor, Kind]:
        """What the network draws of frames ``(V, H, W, 3)``: pictures ``(V, H, W)``, and what they are affine to."""
        processor, model = self._load()
        size = tuple(frames.shape[1:3])
        pictures = []
        for k, frame in enumerate(frames):
            picture = (frame.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
            inputs = processor(images=picture, return_tensors="pt").to(self.device)
            with torch.inference_mode():
                drawn = model(**inputs)
            depth = processor.post_process_depth_estimation(drawn, target_sizes=[size])[0]["predicted_depth"]
            pictures.append(depth.float().cpu().clone())
            on_step(k + 1, len(frames))
        return torch.stack(pictures), kind_of(model.config)

    def _load(self) -> tuple[Any, Any]:
        try:
            from transformers import AutoImageProcessor, AutoModelForDepthEstimation
        except (ImportError, RuntimeError, OSError) as err:  # a package below it may be built for another torch
            raise InputError(
                f"no transformers that works here ({_first_line(err)})",
                "it, for depth networks",
                "install it with `python -m pip install transformers`, or use parallax",
            ) from err
        try:
            makers: tuple[Any, Any] = AutoImageProcessor, AutoModelForDepthEstimation  # partly without types
            processor = makers[0].from_pretrained(self.name, local_files_only=True)
            model = makers[1].from_pretrained(self.name, local_files_only=True, use_safetensors=True)
        except (OSError, ValueError, ImportError) as err:
            raise InputError(
                f"the depth network {self.name!r} can't be loaded ({_first_line(err)})",
                "a depth estimation network on this disk, as safetensors",
                f"get it with `hf download {self.name}`, or check the name",
            ) from err
        return processor, model.eval().to(self.device)


def kind_of(config: Any) -> Kind:
    """What a network's pictures are affine to, by its configuration."""
    kind = getattr(config, "depth_estimation_type", None)
    if kind in ("relative", "metric"):
        return "metric" if kind == "metric" else "inverse"
    family = getattr(config, "model_type", "")
    return "metric" if family in _METRIC_FAMILIES else "inverse" if family == "dpt" else "auto"


def _first_line(err: BaseException) -> str:
    return (str(err).strip().splitlines() or [type(err).__name__])[0].rstrip(".")
