"""Small 4D models of this extension with random weights, as files and as the core runs them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import folder_paths
import host_process
import torch
from checks import node, outputs

SEED, STEPS = 7, 4


def core(name: str) -> Any:
    return host_process.part(f"fourreal_core.{name}")


def spec(variant: str = "soft_trained", **dit: Any) -> Any:
    """Sizes of a tiny model; ``proposals`` may be a number of planes."""
    module, counts = core("model.spec"), core("model.shown_planes").PLANES_BY_COUNT
    if "proposals" in dit:
        dit["proposals"] = counts[dit["proposals"]]
    sizes = {"width": 24, "layers": 3, "heads": 2, "patch": 8, "conv_width": 4}
    return module.Model4DSpec(module.DiTSpec(**sizes | dit), variant)


def random_model(variant: str = "soft_trained", seed: int = 5, **dit: Any) -> Any:
    """A 4D model in which every weight has a say."""
    with torch.inference_mode(False), torch.no_grad():
        model = core("model.model4d").Model4D(spec(variant, **dit)).eval()
        generator = torch.Generator().manual_seed(seed)
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
        return model.requires_grad_(False)


@contextmanager
def saved(**models: Any) -> Iterator[str]:
    """A folder that the host knows as models/fourreal, with the models in it."""
    with tempfile.TemporaryDirectory() as folder:
        folder_paths.folder_names_and_paths["fourreal"] = ([folder], {".safetensors"})
        for name, model in models.items():
            core("model.model_file").save_model(os.path.join(folder, f"{name}.safetensors"), model)
        folder_paths.filename_list_cache.pop("fourreal", None)
        yield folder
        folder_paths.filename_list_cache.pop("fourreal", None)


def loaded(model: Any, precision: str = "auto") -> tuple[Any, Any]:
    """MODEL and VAE by way of a file and the node."""
    with saved(tiny=model):
        return outputs(node("load_model", "LoadModel").execute("tiny.safetensors", precision))


def conditioned(model: Any, vae: Any, grid: Any, **settings: Any) -> tuple[Any, Any, dict[str, torch.Tensor]]:
    return outputs(node("freeze_time_conditioning", "FreezeTimeConditioning").execute(model, vae, grid, **settings))[:3]


def by_core(
    model: Any, grid: Any, noise: torch.Tensor, proposals: torch.Tensor | None = None, **flow: Any
) -> torch.Tensor:
    """What the core makes of the same noise ``(V, C, T, h, w)``; the same shape comes back."""
    complete, flows, held = core("sampling.complete"), core("sampling.rectified_flow"), core("sampling.known_cells")
    codec = core("model.codec").SpaceToDepth(model.spec.dit.subpixel)
    known = held.KnownCells(grid.known[None], codec.encode(grid.frames)[None])
    if proposals is not None:
        proposals = codec.encode(proposals).movedim(0, 2).flatten(2, 3)[None]
    options = flows.SamplingOptions(steps=STEPS, **flow)
    first = None if proposals is None else proposals[:, :, :, : noise.shape[1]]
    velocity = complete.model_velocity(model, known.mask, complete.Condition4D(proposal=proposals))
    start = flows.start_latents(noise.transpose(1, 2)[None], options.start, first)
    made = flows.integrate(velocity, start, flows.schedule(options), known)
    return made[0].transpose(1, 2)
