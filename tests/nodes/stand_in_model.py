"""A stand-in for the host's MODEL: a small video network under the name of one that can be patched."""

from __future__ import annotations

import copy
from typing import Any

import comfy.model_sampling
import torch
from torch import Tensor, nn

CHANNELS, WIDTH, LAYERS = 4, 6, 3


class Block(nn.Module):
    """Mixes along a video's tokens, differently at every place, and adds the prompt; writes into its input."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor, prompt: Tensor, transformer_options: dict[str, Any]) -> Tensor:
        """``(N, L, D)`` tokens and ``(N, 1, D)`` prompt."""
        places = torch.arange(1, x.shape[1] + 1, dtype=x.dtype)[:, None]
        x += torch.tanh(self.linear(x.cumsum(1) / places) + prompt)
        return x


class WanModel(nn.Module):
    """One token a latent pixel."""

    patch_size = (1, 1, 1)

    def __init__(self) -> None:
        super().__init__()
        self.patch_embedding = nn.Conv3d(CHANNELS, WIDTH, 1)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.head = nn.Linear(WIDTH, CHANNELS)

    def forward(self, x: Tensor, prompt: Tensor, transformer_options: dict[str, Any]) -> Tensor:
        """``(N, C, T, h, w)`` to the same."""
        tokens = self.patch_embedding(x).flatten(2).transpose(1, 2)
        for block in self.blocks:
            tokens = block(tokens, prompt, transformer_options=transformer_options)
        return self.head(tokens).transpose(1, 2).unflatten(2, x.shape[2:])


WanModel.__module__ = "comfy.ldm.wan.model"


class LatentFormat:
    """A scale and an offset."""

    latent_channels = CHANNELS

    def process_out(self, latent: Tensor) -> Tensor:
        """From the model's scale to the VAE's."""
        return latent * 2 + 1

    def process_in(self, latent: Tensor) -> Tensor:
        """Back."""
        return (latent - 1) / 2


class Sampling(comfy.model_sampling.CONST):
    """Flow matching, with what schedules ask for."""

    sigma_min, sigma_max = 0.001, 1.0
    sigmas = torch.linspace(0.001, 1.0, 1000)


class Base:
    """The host's model around the network."""

    memory_usage_factor = 2.0

    def __init__(self) -> None:
        torch.manual_seed(3)  # the network's own initialisation takes no generator
        self.diffusion_model = WanModel().double()
        self.model_sampling = Sampling()
        self.latent_format = LatentFormat()

    def direct(
        self,
        x: Tensor,
        t: Tensor,
        c_concat: Any = None,
        c_crossattn: Any = None,
        control: Any = None,
        transformer_options: Any = None,
        **inputs: Any,
    ) -> Tensor:
        """What stands under all wrappers."""
        return self.diffusion_model(x, c_crossattn, transformer_options)


class Executor:
    """The host's protocol for wrappers."""

    def __init__(self, base: Base, wrappers: list[Any]) -> None:
        self.class_obj, self.wrappers = base, wrappers

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the next wrapper, or the model."""
        if not self.wrappers:
            return self.class_obj.direct(*args, **kwargs)
        return self.wrappers[0](Executor(self.class_obj, self.wrappers[1:]), *args, **kwargs)


class Model:
    """The part of the host's ModelPatcher that patches use."""

    def __init__(self) -> None:
        self.model = Base()
        self.object_patches: dict[str, Any] = {}
        self.wrappers: dict[str, dict[str, list[Any]]] = {}

    def clone(self) -> Model:
        """Shares the network, not the patches."""
        other = copy.copy(self)
        other.object_patches, other.wrappers = dict(self.object_patches), copy.deepcopy(self.wrappers)
        return other

    def get_model_object(self, name: str) -> Any:
        """The patched object, or the model's."""
        return self.object_patches.get(name, getattr(self.model, name))

    def add_object_patch(self, name: str, value: Any) -> None:
        """See the host."""
        self.object_patches[name] = value

    def remove_wrappers_with_key(self, kind: str, key: str) -> None:
        """See the host."""
        self.wrappers.get(kind, {}).pop(key, None)

    def add_wrapper_with_key(self, kind: str, key: str, wrapper: Any) -> None:
        """See the host."""
        self.wrappers.setdefault(kind, {}).setdefault(key, []).append(wrapper)

    def get_wrappers(self, kind: str, key: str) -> list[Any]:
        """See the host."""
        return self.wrappers.get(kind, {}).get(key, [])

    def apply_model(self, x: Tensor, t: Tensor, prompt: Tensor, chunks: int = 1, **inputs: Any) -> Tensor:
        """One call of the model, as samplers make it."""
        stacked = [w for named in self.wrappers.get("apply_model", {}).values() for w in named]
        options = {"cond_or_uncond": list(range(chunks)), "wrappers": self.wrappers, "sigmas": t}
        return Executor(self.model, stacked)(x, t, None, prompt, None, options | inputs.pop("options", {}), **inputs)
