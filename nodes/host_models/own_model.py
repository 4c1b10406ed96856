"""A 4D model of this extension as a MODEL that the host's loaders might have made."""

from __future__ import annotations

from typing import Any

import comfy.conds
import comfy.latent_formats
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.model_sampling
import comfy.ops
import comfy.supported_models_base
import torch
from torch import Tensor, nn

from ...fourreal_core.errors import InputError
from ...fourreal_core.model.model4d import Model4D
from .grid_net import PROPOSALS, GridNet
from .patch import watched

PRECISIONS = {"auto": None, "float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
"""Types of weights and computation; ``auto``: float32 weights, bfloat16 computation where the device is fast at it."""

PIXEL_FLOATS, TOKEN_COPIES = 120, 30
"""Working memory in floats: of a fine pixel in the stem and the head, and of a token over its width. On a CPU grids of
8 x 8 cells of 128 x 128 take 430 bytes a pixel (width 256, patch 16) and 520 (width 320, patch 8); this is reckoned
half as much again to twice."""
BYTES_PER_FACTOR = 4 * 0.01 * 1024**2
"""What the host reckons for one latent pixel at a memory factor of 1 in float32."""


class GridLatentFormat(comfy.latent_formats.LatentFormat):
    """Latents as they are; previews show the pixels that lie in their channels."""

    latent_dimensions = 3

    def __init__(self, model: Model4D) -> None:
        dit = model.spec.dit
        self.latent_channels = dit.latent_channels
        if dit.channels == 3:
            share = 1 / dit.subpixel**2
            self.latent_rgb_factors = [
                [share if colour == own else 0.0 for own in range(3)]
                for colour in range(3)
                for _ in range(dit.subpixel**2)
            ]
            self.latent_rgb_factors_bias = [0.0, 0.0, 0.0]


class GridConfig(comfy.supported_models_base.BASE):
    """What the host wants to know of a model: a flow model whose network exists already."""

    unet_config: dict[str, Any] = {"disable_unet_model_creation": True}
    unet_extra_config: dict[str, Any] = {}
    sampling_settings = {"shift": 1.0, "multiplier": 1.0}


class GridBase(comfy.model_base.BaseModel):
    """The host's model around the network."""

    def __init__(self, net: GridNet) -> None:
        config = GridConfig(GridConfig.unet_config)
        config.latent_format = GridLatentFormat(net.grid_model)
        config.memory_usage_factor = _bytes_a_pixel(net.grid_model) / BYTES_PER_FACTOR
        config.set_inference_dtype(net.dtype, None if net.dtype == torch.float32 else torch.float32)
        super().__init__(config, comfy.model_base.ModelType.FLOW)
        self.diffusion_model = net

    def extra_conds(self, **kwargs: Any) -> dict[str, Any]:
        """The network's known cells, and a refiner's input proposals."""
        out = super().extra_conds(**kwargs)
        mask, proposals = kwargs.get("denoise_mask"), kwargs.get(PROPOSALS)
        if mask is not None:
            out["denoise_mask"] = comfy.conds.CONDNoiseShape(mask)
        if proposals is not None:
            out[PROPOSALS] = comfy.conds.CONDNoiseShape(self.process_latent_in(proposals))
        return out

    def process_timestep(self, timestep: Tensor, **kwargs: Any) -> Tensor:
        """The noise level, whatever scale a 'ModelSampling...' node gives to time steps.

        Raises:
            InputError: A node made it another kind of model.
        """
        if not isinstance(self.model_sampling, comfy.model_sampling.CONST):
            raise InputError(
                "a 4Real model sampled as another kind of model",
                "flow matching",
                "remove 'ModelSamplingDiscrete', 'ModelSamplingContinuousEDM' and the like",
            )
        return timestep / getattr(self.model_sampling, "multiplier", 1.0)

    def scale_latent_inpaint(self, latent_image: Tensor, **kwargs: Any) -> Tensor:
        """Known cells enter clean."""
        return latent_image


def as_host_model(model: Model4D, precision: str = "auto") -> Any:
    """A MODEL that runs a 4D model.

    Args:
        model: In evaluation mode; it becomes the MODEL's own.
        precision: One of PRECISIONS.

    Raises:
        InputError: Another precision.
    """
    if precision not in PRECISIONS:
        raise InputError(f"a precision {precision!r}", "one of " + ", ".join(PRECISIONS), "choose one of them")
    device, compute = comfy.model_management.get_torch_device(), None
    if precision == "auto":
        fast = device.type != "cpu" and comfy.model_management.should_use_bf16(device)
        compute = torch.bfloat16 if fast else None
    else:
        model = model.to(PRECISIONS[precision])
    net = GridNet(model.requires_grad_(False), compute)
    _let_the_host_cast(net)
    archive = getattr(comfy.model_management, "archive_model_dtypes", None)  # newer hosts look these types up
    if archive is not None:
        archive(net)
    patcher = comfy.model_patcher.ModelPatcher(
        GridBase(net), load_device=device, offload_device=comfy.model_management.unet_offload_device()
    )
    return watched(patcher)


def _bytes_a_pixel(model: Model4D) -> float:
    """Working memory of a latent pixel in float32."""
    dit = model.spec.dit
    return 4 * dit.subpixel**2 * (PIXEL_FLOATS + TOKEN_COPIES * dit.width / dit.patch**2)


def _let_the_host_cast(net: nn.Module) -> None:
    """Layers become the host's own kind, which stay offloaded and are cast, moved and patched when they run."""
    kinds = {nn.Linear: comfy.ops.manual_cast.Linear, nn.Conv2d: comfy.ops.manual_cast.Conv2d}
    for module in net.modules():
        if type(module) in kinds:
            module.__class__ = kinds[type(module)]
        elif type(module) is nn.LayerNorm and module.elementwise_affine:
            module.__class__ = comfy.ops.manual_cast.LayerNorm
