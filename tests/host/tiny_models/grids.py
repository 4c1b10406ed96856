"""Sampling a grid through a tiny model in two streams, and the same cells as separate videos."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import comfy.sample
import comfy.samplers
import families
import host_process
import torch
from families import TIMES, VIEWS

SIZE = 8
STEPS, CFG = 2, 3.0
SIDES = {"time": lambda view, time: time, "view": lambda view, time: view}
"""One of the two streams as the prediction, so that it can be told from the other through a whole sampling."""


@dataclass(frozen=True)
class Videos:
    """Latents, noise and noise mask of some videos, and conditioning values that differ from cell to cell."""

    latent: torch.Tensor
    noise: torch.Tensor
    mask: torch.Tensor
    extra: dict[str, Any]

    def row(self, view: int) -> Videos:
        """One view's video."""
        return Videos(*(x[view : view + 1] for x in (self.latent, self.noise, self.mask)), self.extra)

    def column(self, time: int) -> Videos:
        """One time's video, over the views."""

        def turned(x: torch.Tensor) -> torch.Tensor:
            return x[:, :, time : time + 1].transpose(0, 2).contiguous()

        extra = {
            name: value[:, :, time : time + 1].expand(-1, -1, VIEWS, -1, -1).contiguous()
            for name, value in self.extra.items()
        }
        return Videos(turned(self.latent), turned(self.noise), turned(self.mask), extra)


def grid_videos(name: str) -> Videos:
    """A grid with the first row and the first column known."""
    generator = torch.Generator().manual_seed(1)
    shape = (VIEWS, families.FAMILIES[name].channels, TIMES, SIZE, SIZE)
    mask = torch.ones(VIEWS, 1, TIMES, SIZE, SIZE)
    mask[0] = mask[:, :, 0] = 0
    cameras = {k: v for k, v in families.FAMILIES[name].extra().items() if k == "camera_conditions"}
    return Videos(torch.randn(shape, generator=generator), torch.randn(shape, generator=generator), mask, cameras)


def ksampler(model: Any, positive: Any, negative: Any, videos: Videos) -> torch.Tensor:
    """What KSampler runs, with noise of its caller."""
    return comfy.sample.sample(
        model,
        videos.noise,
        STEPS,
        CFG,
        "euler",
        "normal",
        positive,
        negative,
        videos.latent,
        noise_mask=videos.mask,
        seed=0,
        disable_pbar=True,
    )


def one_call(model: Any, positive: Any, negative: Any, videos: Videos) -> torch.Tensor:
    """A single call of the model without guidance, at a noise level where its prediction matters."""
    return comfy.sample.sample(
        model,
        videos.noise,
        1,
        1.0,
        "euler",
        "normal",
        positive,
        negative,
        videos.latent,
        sigmas=torch.tensor([0.6, 0.0]),
        noise_mask=videos.mask,
        seed=0,
        disable_pbar=True,
    )


def custom_advanced(model: Any, positive: Any, negative: Any, videos: Videos) -> torch.Tensor:
    """SamplerCustomAdvanced with a CFGGuider."""
    guider = comfy.samplers.CFGGuider(model)
    guider.set_conds(positive, negative)
    guider.set_cfg(CFG)
    return guided(model, guider, videos)


def guided(model: Any, guider: Any, videos: Videos) -> torch.Tensor:
    """The host's own SamplerCustomAdvanced node with some guider."""
    from comfy_extras.nodes_custom_sampler import SamplerCustomAdvanced

    class Given:
        seed = 0

        def generate_noise(self, latent: Any) -> torch.Tensor:
            return videos.noise

    sigmas = comfy.samplers.calculate_sigmas(model.get_model_object("model_sampling"), "simple", STEPS)
    node = SamplerCustomAdvanced
    run = getattr(node, "execute", None) or node().sample
    out = run(
        Given(),
        guider,
        comfy.samplers.sampler_object("heun"),
        sigmas,
        {"samples": videos.latent, "noise_mask": videos.mask},
    )
    return getattr(out, "args", out)[0]["samples"]


SAMPLERS: dict[str, Callable[..., torch.Tensor]] = {
    "ksampler": ksampler,
    "custom_advanced": custom_advanced,
    "one_call": one_call,
}


def streams(model: Any, variant: str = "identity", **settings: Any) -> Any:
    """The MODEL patched with untrained sync layers."""
    sync = host_process.part("fourreal_core.model.sync")
    family = host_process.part("nodes.host_models.registry").host_model(model)
    two_streams = host_process.part("nodes.host_models.two_streams")
    layers = sync.build_sync(sync.SyncSpec(variant, len(family.layers())))
    return host_process.part("nodes.host_models.patch").patched(
        model, two_streams.TwoStreams(family, layers, **settings)
    )


def sampled(
    name: str, model: Any, videos: Videos, sampler: str = "ksampler", tokens: tuple[int, int] = (6, 6)
) -> torch.Tensor:
    """A sampling with prompts, guidance, mask, and what the family is told of known cells."""
    known_cells = host_process.part("nodes.host_models.host_model").KnownCellLatents
    family = host_process.part("nodes.host_models.registry").host_model(model)
    grey = torch.randn(1, videos.latent.shape[1], 1, 1, 1, generator=torch.Generator().manual_seed(6))
    known = known_cells(videos.latent, videos.mask, grey.expand(-1, -1, -1, SIZE, SIZE))
    told = family.known_cell_conditioning(known, videos.latent.shape[1]) | videos.extra
    prompts = [
        [[text, values | told] for text, values in families.conditioning(name, seed, count)]
        for seed, count in zip((3, 4), tokens, strict=True)
    ]
    return SAMPLERS[sampler](model, *prompts, videos)


def apart(name: str, model: Any, videos: Videos, side: str, **settings: Any) -> torch.Tensor:
    """The grid as separate videos of the unpatched model: one a view, or one a time."""
    if side == "time":
        return torch.cat([sampled(name, model, videos.row(v), **settings) for v in range(VIEWS)])
    columns = torch.cat([sampled(name, model, videos.column(t), **settings) for t in range(TIMES)])
    return columns.transpose(0, 2)


def largest_difference(a: torch.Tensor, b: torch.Tensor) -> float:
    """In units of the values' spread."""
    return float((a - b).abs().max() / b.std())
