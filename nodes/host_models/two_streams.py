"""A native model's call as two synchronized streams over a grid."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import comfy.model_management
import comfy.model_sampling
import torch
from torch import Tensor

from ...fourreal_core.errors import InputError
from ...fourreal_core.model.streams import SyncRule
from ...fourreal_core.model.sync import Sync
from .batch_layout import GridShape
from .compiled_layers import layers_compiled, original
from .foreign_patches import check_call, check_innermost, check_whole, skips_layer
from .host_model import HostModel
from .lockstep import FIRST, LockStep

APPLY_MODEL, DIFFUSION_MODEL, OUTER_SAMPLE = "apply_model", "diffusion_model", "outer_sample"
"""The host's names of what can be wrapped."""

KEY = "fourreal_parallel_sync"
"""Key of the wrappers; patching again replaces them."""

APPLY_MODEL_INPUTS = ("c_concat", "c_crossattn", "control")
"""What the host gives ``apply_model`` by position after ``x`` and ``t``, up to the transformer options."""

SYNC_RULE = "fourreal_sync_rule"
"""Transformer option: the sync rule of a model that runs two streams itself."""

LEVEL_ROUNDING = 1e-6
"""A schedule's first level may lie this far above 1 in float32."""


def mean_of(view: Tensor, time: Tensor) -> Tensor:
    """The mean of both streams' predictions."""
    return (view + time) * 0.5


@dataclass(frozen=True)
class TwoStreams:
    """Wraps ``apply_model`` of a patched model.

    Attributes:
        family: How the model is laid out.
        sync: The rule, and after which layers it runs.
        lowest_level: Steps at a lower noise level than this are not mixed in the layers.
        highest_level: Nor are those at a higher one.
        joined: Makes one prediction ``(V, C, T, h, w)`` of the view and the time stream's.
        rule: Runs in the place of ``sync``, after every layer; for measurements.
        strength: How much of the rule's change is made, in ``[0, 1]``.
        alternate: Runs one stream a call, the rows and the columns in turn from noise level to noise level.
    """

    family: HostModel
    sync: Sync
    lowest_level: float = 0.0
    highest_level: float = 1.0
    joined: Callable[[Tensor, Tensor], Tensor] = mean_of
    rule: SyncRule | None = None
    strength: float = 1.0
    alternate: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise InputError(f"a strength of {self.strength:g}", "0 to 1", "set another strength")
        if not 0 <= self.lowest_level <= self.highest_level <= 1:
            raise InputError(
                f"noise levels from {self.lowest_level:g} to {self.highest_level:g}",
                "0 <= lowest <= highest <= 1",
                "exchange highest_noise and lowest_noise in 'Apply Parallel Sync'",
            )

    def __call__(
        self,
        executor: Any,
        x: Tensor,
        t: Tensor,
        c_concat: Tensor | None = None,
        c_crossattn: Tensor | None = None,
        control: Any = None,
        transformer_options: Mapping[str, Any] | None = None,
        **inputs: Any,
    ) -> Tensor:
        """The host's wrapper protocol; ``x`` is ``(g V, C, T, h, w)`` and so is what it returns."""
        options = transformer_options or {}
        base = executor.class_obj
        family = type(self.family)(original(base.diffusion_model))
        check_call(options, family.runs_grids, family.skips_layers)
        check_innermost(options, KEY)
        shape = grid_shape(x, options)
        check_whole(x, shape.chunks, options)
        if family.runs_grids:
            family.refuse_foreign(inputs)
            rule = self._rule_at(base.model_sampling, family, x, t, shape)
            return executor(x, t, c_concat, c_crossattn, control, {**options, SYNC_RULE: rule}, **inputs)
        rows = dict(zip(APPLY_MODEL_INPUTS, (c_concat, c_crossattn, control), strict=True)) | inputs
        columns = family.column_inputs(rows, shape)
        levels = noise_levels(base.model_sampling, t, rows.get("denoise_mask"), shape)

        def call(video: Tensor, sigma: Tensor, given: dict[str, Any], stream: dict[str, Any]) -> Tensor:
            given = dict(given)
            first = [given.pop(name) for name in APPLY_MODEL_INPUTS]
            return executor(video, sigma, *first, stream, **given)

        if self.alternate:
            if _is_row_step(options, t):
                return call(x, t, rows, own_options(options, t))
            turned = shape.once_a_column(t)
            return shape.to_rows(call(shape.to_columns(x), turned, columns, of_columns(own_options(options, turned))))
        meeting = _Meeting(self, family, shape, levels, _tokens_of_frame(family, x))
        with layers_compiled(base, family.layers()), self._listening(meeting) as steps:
            turned = shape.once_a_column(t)
            time, view = steps.run(
                lambda: call(x, t, rows, own_options(options, t)),
                lambda: call(shape.to_columns(x), turned, columns, of_columns(own_options(options, turned))),
            )
            _check_all_ran(meeting, options)
        return self.joined(shape.to_rows(view), time)

    @property
    def mixing(self) -> SyncRule:
        """What mixes the streams after a layer, at its strength."""
        rule = self.rule or self.sync.forward  # no module: a network that is handed one would keep it as its part
        return rule if self.strength == 1 else _weakened(rule, self.strength)

    def _mixes_at(self, levels: Tensor) -> bool:
        """Whether the streams are mixed in a step whose cells enter at these levels."""
        return self.lowest_level - LEVEL_ROUNDING <= float(levels.amax()) <= self.highest_level + LEVEL_ROUNDING

    def _rule_at(self, sampling: Any, family: HostModel, x: Tensor, t: Tensor, shape: GridShape) -> SyncRule:
        """The sync rule, in this step, of a model that runs its streams itself."""
        _place(self.sync, x.new_empty((), dtype=family.model.dtype))
        return self.mixing if self._mixes_at(noise_levels(sampling, t, None, shape)) else _unmixed

    @contextmanager
    def _listening(self, meeting: _Meeting) -> Iterator[LockStep[Tensor]]:
        """Hooks the exchange of streams into every layer that syncs, while the model runs."""
        steps: LockStep[Tensor] = LockStep(meeting.mix)
        mixing = self._mixes_at(meeting.levels)
        handles = []
        try:
            for index, layer in enumerate(meeting.family.layers()):
                meets = mixing and (self.rule is not None or self.sync.spec.active(index))
                hook = _AfterLayer(index, steps, meeting, meets)
                handles.append(layer.register_forward_hook(hook, with_kwargs=True))
            yield steps
        finally:
            for handle in handles:
                handle.remove()


@dataclass(frozen=True)
class _Meeting:
    """Exchanges the streams after a layer: joins the tokens of all videos, mixes them, and splits them again."""

    streams: TwoStreams
    family: HostModel
    shape: GridShape
    levels: Tensor
    tokens_of_frame: int
    ran: tuple[set[int], set[int]] = field(default_factory=lambda: (set(), set()))
    """Layers that each stream has run."""

    def tokens_of_video(self, lane: int) -> int:
        """Tokens of one video of a stream."""
        return self.tokens_of_frame * (self.shape.times if lane == FIRST else self.shape.views)

    def mix(self, layer: int, time: Tensor, view: Tensor) -> tuple[Tensor, Tensor]:
        """The time stream's and the view stream's tokens after their sync."""
        shape, streams = self.shape, self.streams
        y_view, y_time = shape.cells_of_columns(view), shape.cells_of_rows(time)
        _place(streams.sync, y_time)
        x_view, x_time = streams.mixing(layer, y_view, y_time, self.levels)
        # columns_of_cells copies: where a rule gives one tensor for both streams, each has memory of its own again
        return shape.rows_of_cells(x_time), shape.columns_of_cells(x_view)


@dataclass(frozen=True)
class _AfterLayer:
    """A forward hook of a layer."""

    index: int
    steps: LockStep[Tensor]
    meeting: _Meeting
    meets: bool

    def __call__(self, module: torch.nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], output: Any) -> Any:
        lane = self.steps.lane()
        if lane is None:  # some other call of the same model
            return output
        comfy.model_management.throw_exception_if_processing_interrupted()
        self.meeting.ran[lane].add(self.index)
        if not self.meets:
            return output
        family = self.meeting.family
        options = kwargs.get("transformer_options") or {}
        tokens = family.image_tokens(output, self.meeting.tokens_of_video(lane), options)
        return family.with_image_tokens(output, self.steps.meet(self.index, tokens), options)


def _unmixed(layer: int, y_view: Tensor, y_time: Tensor, level: Tensor | None) -> tuple[Tensor, Tensor]:
    return y_view, y_time


def _weakened(rule: SyncRule, strength: float) -> SyncRule:
    def weaker(layer: int, y_view: Tensor, y_time: Tensor, level: Tensor | None) -> tuple[Tensor, Tensor]:
        x_view, x_time = rule(layer, y_view, y_time, level)
        return torch.lerp(y_view, x_view, strength), torch.lerp(y_time, x_time, strength)

    return weaker


def _is_row_step(options: Mapping[str, Any], sigma: Tensor) -> bool:
    """Whether the rows are run at this noise level: at every other one of the schedule, the first among them."""
    schedule = options.get("sample_sigmas")
    if not isinstance(schedule, Tensor):
        return True
    level = float(sigma.max())
    return int((schedule >= level - LEVEL_ROUNDING * max(level, 1.0)).sum()) % 2 == 1


def _tokens_of_frame(family: HostModel, x: Tensor) -> int:
    high, wide = family.patch_size()
    return -(-x.shape[-2] // high) * -(-x.shape[-1] // wide)


def _place(sync: Sync, tokens: Tensor) -> None:
    """Moves trained sync layers to where the tokens are, once: the host may offload, or compute in another type."""
    weight = next(sync.parameters(), None)
    if weight is not None and (weight.device != tokens.device or weight.dtype != tokens.dtype):
        sync.to(tokens.device, tokens.dtype)


def grid_shape(x: Tensor, options: Mapping[str, Any]) -> GridShape:
    """What the batch of a model call says of the grid.

    Raises:
        InputError: A latent that is no grid of at least two views and two times.
    """
    chunks = len(options.get("cond_or_uncond") or (0,))
    if x.ndim != 5 or x.shape[0] % chunks or x.shape[0] < 2 * chunks or x.shape[2] < 2:
        raise no_grid(tuple(x.shape[:1] if x.ndim != 5 else (x.shape[0] // chunks, *x.shape[1:])))
    return GridShape(chunks, x.shape[0] // chunks, x.shape[2])


def no_grid(shape: tuple[int, ...]) -> InputError:
    """The error for a latent of ``shape`` that is no grid."""
    return InputError(
        f"a latent of shape {shape}",
        "a grid (views, channels, times, height, width) of at least 2 views and 2 times",
        "connect the latent of 'Freeze-Time Conditioning', and no node that splits a batch ('Rebatch "
        "Latents', 'Latent From Batch') behind it",
    )


def noise_levels(sampling: Any, sigma: Tensor, mask: Tensor | None, shape: GridShape) -> Tensor:
    """Levels ``(g, V, T)`` in ``[0, 1]`` at which the cells enter the model.

    Args:
        sampling: The model's ``model_sampling``; where it adds noise to the clean latent, the level is
            ``sigma / (1 + sigma)``, the share of noise that a flow model would have.
        sigma: ``(g V,)`` the host's.
        mask: ``(g V, C, T, h, w)`` the noise mask if the model looks at it: known cells then enter at level 0.
        shape: The grid.
    """
    sigma = sigma.float()
    level = sigma if isinstance(sampling, comfy.model_sampling.CONST) else sigma / (1 + sigma)
    levels = level.clamp(0, 1)[:, None].expand(-1, shape.times)
    if mask is not None and mask.ndim == 5:
        levels = levels * mask.float().mean((1, 3, 4)).to(levels.device)
    return levels.reshape(shape.chunks, shape.views, shape.times)


def own_options(options: Mapping[str, Any], sigma: Tensor) -> dict[str, Any]:
    """Transformer options for one stream: models write into theirs.

    Args:
        options: The host's, for the whole call.
        sigma: ``(N,)`` of this stream's videos.
    """
    own = _copied(options)
    if isinstance(own.get("sigmas"), Tensor):
        own["sigmas"] = sigma[:1].expand(sigma.shape[0] // len(own.get("cond_or_uncond") or (0,)))
    places = own.setdefault("wrappers", {})
    places.setdefault(DIFFUSION_MODEL, {}).setdefault("fourreal_streams", []).append(_fetch_nothing_ahead)
    return own


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _copied(inner) for name, inner in value.items()}
    return list(value) if isinstance(value, list) else value


def _fetch_nothing_ahead(executor: Any, *args: Any, **kwargs: Any) -> Any:
    """The host fetches the next block's weights for one run; the second run would release what the first still uses."""
    for options in (*args, *kwargs.values()):
        if isinstance(options, dict) and "prefetch_dynamic_vbars" in options:
            options["prefetch_dynamic_vbars"] = False
    return executor(*args, **kwargs)


def of_columns(options: dict[str, Any]) -> dict[str, Any]:
    """A stream's options for the view stream: frames are views there, which no scale or shift of time holds for."""
    if options.get("rope_options"):
        options["rope_options"] = {**options["rope_options"], "scale_t": 1.0, "shift_t": 0.0}
    return options


def _check_all_ran(meeting: _Meeting, options: Mapping[str, Any]) -> None:
    """Raises InputError where something answered in the layers' place, such as a cache of earlier steps."""
    skipped = sum(skips_layer(function) for function in options.get("patches_replace", {}).get("dit", {}).values())
    layers = len(meeting.family.layers())
    for ran in meeting.ran:
        if len(ran) < layers - skipped:
            raise InputError(
                f"{meeting.family.name} of which {len(ran)} of {layers} layers ran",
                "all layers, in both streams",
                "remove the node that skips layers or steps of this model (EasyCache, TeaCache and the like), or use "
                "'LazyCache'",
            )
