"""Custom nodes for host tests: a tiny random model, prompts and a VAE without files, and the host's threads."""

from __future__ import annotations

import importlib.util
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import torch


def _families() -> ModuleType:
    path = Path(__file__).resolve().parents[1] / "families.py"
    spec = importlib.util.spec_from_file_location("tiny_families", path)
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


class TinyModel:
    """A family's tiny model; ``pause`` seconds a block make it as slow as a large one."""

    CATEGORY, FUNCTION, RETURN_TYPES = "tests", "make", ("MODEL",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"family": ("STRING", {"default": "wan_t2v"}), "pause": ("FLOAT", {"default": 0.0})}}

    def make(self, family: str, pause: float) -> tuple[Any]:
        import time

        model = _families().build(family, torch.float32)
        if pause:
            for block in model.model.diffusion_model.blocks:
                block.register_forward_pre_hook(lambda module, args: time.sleep(pause))
        return (model,)


class TinyText:
    """A random prompt."""

    CATEGORY, FUNCTION, RETURN_TYPES = "tests", "make", ("CONDITIONING",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"family": ("STRING", {"default": "wan_t2v"}), "seed": ("INT", {"default": 0})}}

    def make(self, family: str, seed: int) -> tuple[Any]:
        return (_families().conditioning(family, seed),)


class _Vae:
    def __init__(self, channels: int, factor: int) -> None:
        self.channels, self.factor = channels, factor

    def spacial_compression_encode(self) -> int:
        return self.factor

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        small = torch.nn.functional.avg_pool2d(pixels.movedim(-1, 1), self.factor)
        return small.repeat(1, -(-self.channels // 3), 1, 1)[:, : self.channels, None]

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        large = latents[:, :3, 0].repeat_interleave(self.factor, -1).repeat_interleave(self.factor, -2)
        return large.movedim(1, -1)[:, None]


class TinyVae:
    """Means of squares of pixels, repeated into any number of channels."""

    CATEGORY, FUNCTION, RETURN_TYPES = "tests", "make", ("VAE",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {}, "optional": {"channels": ("INT", {"default": 16}), "factor": ("INT", {"default": 8})}}

    def make(self, channels: int = 16, factor: int = 8) -> tuple[Any]:
        return (_Vae(channels, factor),)


class _VideoVae(_Vae):
    """Compresses time as well; decodes to a fixed picture that slides, tinted by the latents, so that geometry has
    something to find in it."""

    def __init__(self, channels: int, factor: int, stride: int) -> None:
        super().__init__(channels, factor)
        self.stride = stride

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        small = torch.nn.functional.avg_pool2d(pixels[:: self.stride, ..., :3].movedim(-1, 1), self.factor)
        return small.repeat(1, -(-self.channels // 3), 1, 1)[:, : self.channels].movedim(0, 1)[None]

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        times = (latents.shape[2] - 1) * self.stride + 1
        size = latents.shape[-2] * self.factor, latents.shape[-1] * self.factor
        noise = torch.rand(1, 3, size[0] // 4, size[1] // 2, generator=torch.Generator().manual_seed(0))
        wide = torch.nn.functional.interpolate(noise, (size[0], 2 * size[1]), mode="bicubic")[0].clamp(0, 1)
        frames = torch.stack([wide[:, :, t : t + size[1]] for t in range(times)])
        tint = torch.nn.functional.interpolate(latents[:1, :3].float().cpu(), (times, *size))[0].movedim(1, 0)
        return (0.9 * frames + 0.1 * torch.sigmoid(tint)).movedim(1, -1)[None]


class TinyVideoVae:
    """A VAE of clips."""

    CATEGORY, FUNCTION, RETURN_TYPES = "tests", "make", ("VAE",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        integers = {
            name: ("INT", {"default": value}) for name, value in (("channels", 16), ("factor", 8), ("stride", 4))
        }
        return {"required": integers}

    def make(self, channels: int, factor: int, stride: int) -> tuple[Any]:
        return (_VideoVae(channels, factor, stride),)


class RunningThreads:
    """Names of the host's threads, as output."""

    CATEGORY, FUNCTION, RETURN_TYPES, OUTPUT_NODE = "tests", "look", (), True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"nonce": ("INT", {"default": 0})}}

    def look(self, nonce: int) -> dict[str, Any]:
        return {"ui": {"threads": [thread.name for thread in threading.enumerate()]}}


NODE_CLASS_MAPPINGS = {
    "TinyModel": TinyModel,
    "TinyText": TinyText,
    "TinyVae": TinyVae,
    "TinyVideoVae": TinyVideoVae,
    "RunningThreads": RunningThreads,
}
