"""A 4D model of this extension behind the host's interface of networks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import comfy.model_management
import torch
from torch import Tensor, nn

from ...fourreal_core.errors import InputError
from ...fourreal_core.model.dit import GridInputs
from ...fourreal_core.model.model4d import Model4D
from ...fourreal_core.model.spec import PARALLEL
from ...fourreal_core.model.streams import SyncRule
from .foreign_patches import check_call, check_whole
from .two_streams import DIFFUSION_MODEL, SYNC_RULE, grid_shape

PROPOSALS = "fourreal_proposals"
"""Model input and conditioning value: the input proposals of a refiner, ``(V, P C, T, h, w)``."""


class GridNet(nn.Module):
    """Runs whole grids, all views of a condition in one call, by the variant of its checkpoint.

    Its weights have the names that they have in the checkpoint.

    Args:
        model: The model.
        compute: Type to compute in under autocast; that of the weights if None.
    """

    def __init__(self, model: Model4D, compute: torch.dtype | None = None) -> None:
        super().__init__()
        for name, child in model.named_children():
            self.add_module(name, child)
        self._model = (model,)  # in a tuple: its parts are registered above, under their own names
        self.compute = compute
        for block in model.dit.blocks:
            block.register_forward_pre_hook(_stop_if_cancelled)

    @property
    def grid_model(self) -> Model4D:
        """The model itself."""
        return self._model[0]

    @property
    def dtype(self) -> torch.dtype:
        """Type of the weights."""
        return self.grid_model.dit.final.weight.dtype

    def forward(
        self,
        x: Tensor,
        level: Tensor,
        context: Tensor | None = None,
        control: Any = None,
        transformer_options: Mapping[str, Any] | None = None,
        denoise_mask: Tensor | None = None,
        **inputs: Any,
    ) -> Tensor:
        """Velocities ``(g V, C, T, h, w)``; other nodes' wrappers run around the whole grid.

        Args:
            x: ``(g V, C, T, h, w)`` float32; clean at known cells.
            level: ``(g V,)`` noise level in ``[0, 1]``.
            context: ``(g V, L, D)`` text; ignored by models without text.
            control: Must be None.
            transformer_options: The host's; may hold a sync rule in place of the model's own.
            denoise_mask: ``(g V, 1 or C, T, h, w)``, 0 all over known cells.
            **inputs: A refiner's proposals.

        Raises:
            InputError: No grid, a part of one, no mask, or a ControlNet.
        """
        options = dict(transformer_options or {})
        if not options.get("wrappers", {}).get(DIFFUSION_MODEL):
            return self._whole_grid(x, level, context, control, options, denoise_mask=denoise_mask, **inputs)
        import comfy.patcher_extension

        wrappers = comfy.patcher_extension.get_all_wrappers(DIFFUSION_MODEL, options)
        run = comfy.patcher_extension.WrapperExecutor.new_class_executor(self._whole_grid, self, wrappers)
        x = x.clone()  # it may be the sampler's own, and caches write into it
        return run.execute(x, level, context, control, options, denoise_mask=denoise_mask, **inputs)

    def _whole_grid(
        self,
        x: Tensor,
        level: Tensor,
        context: Tensor | None,
        control: Any,
        options: Mapping[str, Any],
        denoise_mask: Tensor | None = None,
        **inputs: Any,
    ) -> Tensor:
        check_call(options, own=True)
        shape = grid_shape(x, options)
        check_whole(x, shape.chunks, options)
        if control is not None:
            raise InputError("a 4Real model with a ControlNet", "the model alone", "remove 'Apply ControlNet'")
        if denoise_mask is None:
            raise InputError(
                "a latent without a noise mask for a 4Real model",
                "one that says which cells are known",
                "connect the latent of 'Freeze-Time Conditioning'",
            )
        cells = (shape.chunks, shape.views)
        known = (denoise_mask.amax((1, 3, 4)) < 0.5).unflatten(0, cells)
        levels = level.float().unflatten(0, cells)[..., None].expand(known.shape)
        text = None
        if context is not None and self.grid_model.spec.dit.text_width:
            text = context.unflatten(0, cells)[:, 0]
        proposals = inputs.get(PROPOSALS)
        given = GridInputs(
            _per_cell(x, cells),
            torch.where(known, 0.0, levels),
            known,
            None if proposals is None else _per_cell(proposals, cells),
            text,
        )
        with self._running(x.device, options.get(SYNC_RULE)) as model:
            velocity = model.predict(given).velocity
        return velocity.transpose(2, 3).flatten(0, 1).to(x.dtype)

    @contextmanager
    def _running(self, device: torch.device, rule: SyncRule | None) -> Iterator[Model4D]:
        """The model with its buffers on the latents' device, and with another sync rule for one call."""
        model = self.grid_model
        if rule is not None and model.spec.variant not in PARALLEL:
            model = model.with_variant("identity")  # two streams over the same weights
        _bring_small_weights(self, device)
        half = self.compute or (self.dtype if self.dtype in (torch.bfloat16, torch.float16) else None)
        before, model.sync_rule = model.sync_rule, rule
        try:
            with torch.autocast(device.type, half) if half is not None else nullcontext():
                yield model
        finally:
            model.sync_rule = before


def _per_cell(x: Tensor, cells: tuple[int, int]) -> Tensor:
    return x.unflatten(0, cells).transpose(2, 3)


def _bring_small_weights(net: nn.Module, device: torch.device) -> None:
    """Moves parameters outside of layers, which the host leaves on the CPU when it loads a model in part."""
    for module in net.modules():
        if not hasattr(module, "comfy_cast_weights"):
            for parameter in module.parameters(recurse=False):
                if parameter.device != device:
                    parameter.data = parameter.data.to(device)


def _stop_if_cancelled(module: nn.Module, args: tuple[Any, ...]) -> None:
    comfy.model_management.throw_exception_if_processing_interrupted()
