"""What a stage would take, before it starts: memory, operations and time, from its configuration alone.

The step itself is run on tensors that have shapes and no contents, of the model's own code. Operations are those that
PyTorch counts (multiplications and additions of matrices, convolutions and attention, two a pair); memory is the most
that lives at once. What a GPU's libraries take for themselves, and what its allocator leaves unused, comes on top: some
gigabytes.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)
from torch.utils.flop_counter import FlopCounterMode

from ..errors import InputError
from ..model.codec import SpaceToDepth
from ..model.dit import GridInputs
from ..model.model4d import Model4D
from .batches import step_shape
from .diffusers_bases import SyncedVideos
from .foreign_bases import ForeignBase, read_base
from .live_memory import LiveMemory
from .objective import grid_loss
from .options import TrainingConfig
from .preparing import choose_trained
from .trainees import Trainee, prediction_of

SMALL = 4096
"""Entries below which 8-bit Adam keeps a tensor's moments in 32 bits."""


@dataclass(frozen=True)
class StepEstimate:
    """An optimizer step of one process that does the whole batch.

    Attributes:
        parameters: Of the model.
        trained: How many of them.
        tokens: Of a grid.
        weights: Bytes of all weights.
        optimizer: Bytes of moments and of the averaged weights.
        gradients: Bytes.
        activations: The most bytes that live beside all these, in one part of the batch.
        flop: Operations of a step.
        encoding_flop: Operations of the VAE for one grid; 0 where none is known.
    """

    parameters: int
    trained: int
    tokens: int
    weights: int
    optimizer: int
    gradients: int
    activations: int
    flop: int
    encoding_flop: int = 0

    @property
    def memory(self) -> int:
        """Bytes at the step's peak."""
        return self.weights + self.optimizer + self.gradients + self.activations


def estimate_step(config: TrainingConfig) -> StepEstimate:
    """Estimates a step on the largest window.

    Deep networks are run with a few of their layers, which are all alike.

    Args:
        config: The stage. A base of diffusers may be missing if ``base.architecture`` names one.

    Raises:
        InputError: A base that is neither there nor known, or that can't be trained this way.
    """
    base = None
    if config.base.transformer or config.base.architecture:
        base = read_base(str(config.base.transformer), config.base.architecture)
        base.check()
    shape = max((step_shape(config, step)[1] for step in range(64)), key=lambda s: s[0] * s[1])
    layers = base.layers if base is not None else config.model.dit.layers
    few = FEW if layers > max(FEW) and config.model.dropped == "none" else (layers,)
    runs = [_run(config, base, shape, count) for count in few]
    more = layers - few[0]
    figures = [first + more * (last - first) for first, last in zip(runs[0], runs[-1], strict=True)]
    parameters, trained, matrices, weights, activations, flop = figures
    patch, factor = config.model.dit.patch, config.model.dit.subpixel
    if base is not None:
        patch, factor = base.patch, _channels_and_factor(config, base)[1]
    high, wide = (side // factor // patch for side in config.data.size)
    return StepEstimate(
        parameters,
        trained,
        shape[0] * shape[1] * high * wide,
        weights,
        optimizer_bytes(config, trained, matrices),
        4 * trained,
        activations,
        round(flop * config.train.batch / min(config.train.micro_batch, config.train.batch)),
        _encoding_flop(config, base) if base is not None else 0,
    )


FEW = (2, 3)
"""Layers with which deep networks are run."""


class _Figures(NamedTuple):
    parameters: int
    trained: int
    matrices: int
    weights: int
    activations: int
    flop: int


def _run(config: TrainingConfig, base: ForeignBase | None, shape: tuple[int, int], layers: int) -> _Figures:
    """A part of the batch by shapes alone, or with contents where what is computed depends on them (a chooser)."""
    if base is not None:
        return _measured(config, base, shape, layers)
    try:
        return _measured(config, base, shape, layers)
    except (DataDependentOutputException, DynamicOutputShapeException):
        return _measured(config, base, shape, layers, contents=True)


def _measured(
    config: TrainingConfig, base: ForeignBase | None, shape: tuple[int, int], layers: int, contents: bool = False
) -> _Figures:
    """A part of the batch, forward and backward; once for operations and once for memory, because PyTorch's counter
    keeps activations alive."""
    part = min(config.train.micro_batch, config.train.batch)
    mode = FakeTensorMode()
    own: Trainee | None = None
    if base is None:  # its first values depend on contents, so that it is emptied afterwards
        own = Model4D(replace(config.model, dit=replace(config.model.dit, layers=layers)))
        own = own if contents else _emptied(own, mode)
    with contextlib.nullcontext() if contents else mode:
        model = own or _foreign_model(config, base, layers)
        trained = choose_trained(model, config)
        inputs, clean = _inputs(config, base, part, shape)
        with _flop_counter() as counted:
            _forward_and_backward(config, model, inputs, clean)
        with LiveMemory() as memory:  # the gradients are there already, as from the second part of a batch on
            _forward_and_backward(config, model, inputs, clean)
        sizes = [p.numel() for p in trained.values()]
        return _Figures(
            sum(p.numel() for p in model.parameters()),
            sum(sizes),
            sum(n for n in sizes if n >= SMALL),
            sum(p.nbytes for p in model.parameters()),
            memory.peak,
            int(counted.get_total_flops()),
        )


def optimizer_bytes(config: TrainingConfig, trained: int, matrices: int) -> int:
    """Moments of AdamW, two a parameter in 32 bits or, in ``matrices`` of large tensors, in 8; and the average of the
    weights."""
    halves = matrices if config.train.optimizer == "adamw8bit" else 0
    return 2 * halves + 8 * (trained - halves) + (4 * trained if config.train.ema else 0)


def free_memory(device: torch.device) -> tuple[int, str]:
    """Bytes that are free on a device, and its name."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0]), torch.cuda.get_device_name(device)
    import psutil

    return int(psutil.virtual_memory().available), "this machine"


def check_memory(config: TrainingConfig, free: int, device: str) -> None:
    """Refuses a stage that a device has too little memory for, before anything is read.

    Args:
        config: The stage.
        free: Bytes there.
        device: Its name, for the message.

    Raises:
        InputError: Less than the estimate.
    """
    needed = estimate_step(config).memory
    if needed <= free:
        return
    ways = [
        way
        for way, already in (
            ('base.dtype = "bf16"', config.base.dtype == "bf16" or not config.base.transformer),
            ("train.checkpointing = true", config.train.checkpointing),
            ("train.micro_batch = 1", config.train.micro_batch == 1 or config.train.batch == 1),
            ('train.optimizer = "adamw8bit"', config.train.optimizer == "adamw8bit"),
            ("a smaller model.sync_rank, train.windows or data.size", False),
        )
        if not already
    ]
    raise InputError(
        f"{free / 1e9:.1f} GB of memory on {device}",
        f"about {needed / 1e9:.1f} GB for this stage",
        "set " + ", ".join(ways) + " (`fourreal train --estimate` says what each saves)",
    )


def _emptied(model: Model4D, mode: FakeTensorMode) -> Model4D:
    """The same model without contents."""
    for module in model.modules():
        for name, parameter in list(module._parameters.items()):
            if parameter is not None:
                module._parameters[name] = nn.Parameter(mode.from_tensor(parameter.data))
        for name, buffer in list(module._buffers.items()):
            if buffer is not None:
                module._buffers[name] = mode.from_tensor(buffer)
    return model


def _foreign_model(config: TrainingConfig, base: ForeignBase | None, layers: int) -> SyncedVideos:
    assert base is not None  # the other models are the project's own
    try:
        import diffusers
    except ImportError as err:
        raise InputError(
            "no package diffusers", "what this base model needs", "pip install comfyui-4real[train]"
        ) from err
    settings = {name: value for name, value in base.settings.items() if not name.startswith("_")}
    network: nn.Module = getattr(diffusers, base.kind)(**settings | {"num_layers": layers})
    if config.base.dtype == "bf16":
        _halve(network)
    return SyncedVideos(network, config.model.variant, None, config.model.sync_rank, config.model.dropped)


def _halve(network: nn.Module) -> None:
    """Weights in bfloat16, but for those that the library keeps in 32 bits."""
    kept = tuple(getattr(network, "_keep_in_fp32_modules", None) or ())
    for path, module in network.named_modules():
        for name, parameter in list(module._parameters.items()):
            if parameter is not None and not any(part in f"{path}.{name}".split(".") for part in kept):
                module._parameters[name] = nn.Parameter(parameter.detach().bfloat16(), requires_grad=False)


def _inputs(
    config: TrainingConfig, base: ForeignBase | None, batch: int, shape: tuple[int, int]
) -> tuple[GridInputs, Tensor]:
    """Inputs of a part of the batch, and clean latents."""
    channels, factor = _channels_and_factor(config, base)
    clean = torch.zeros(batch, *shape, channels, *(side // factor for side in config.data.size))
    known = torch.zeros(batch, *shape, dtype=torch.bool)
    proposal = text = None
    if base is None and config.model.dit.proposals and min(shape) > 1:
        proposal = torch.ones_like(clean).repeat(1, 1, 1, len(config.model.dit.proposals), 1, 1)
    if base is not None:
        words = (base.padded_text or base.longest_text) if config.base.text_encoder else 1
        text = torch.zeros(batch, words, base.text_width)
    return GridInputs(torch.zeros_like(clean), torch.zeros(batch, *shape), known, proposal, text), clean


def _channels_and_factor(config: TrainingConfig, base: ForeignBase | None) -> tuple[int, int]:
    """Of latents: those of the base's VAE, or of pixels that were moved into channels."""
    codec = SpaceToDepth(config.model.dit.subpixel)
    if base is None or (base.channels == codec.channels and not config.base.vae):
        return codec.channels, codec.factor
    return base.channels, base.vae_factor


def _forward_and_backward(config: TrainingConfig, model: Trainee, inputs: GridInputs, clean: Tensor) -> None:
    halves = config.train.precision != "float32"  # what auto takes on a GPU
    with torch.autocast("cpu", torch.bfloat16, enabled=halves):
        drawn = model(inputs)
    grid_loss(drawn, clean, clean, inputs.known, prediction_of(model)).mean().backward()


def _encoding_flop(config: TrainingConfig, base: ForeignBase) -> int:
    """Of the VAE for one grid of the largest window, where it is one of the published ones."""
    import diffusers

    settings: dict[str, Any] | None = base.vae_settings
    if settings is None or not config.base.vae:
        return 0
    kind = "AutoencoderKLLTXVideo" if base.vae_factor == 32 else "AutoencoderKLWan"
    vae = getattr(diffusers, kind)(**settings).requires_grad_(False)
    counted = _flop_counter()
    with torch.no_grad(), counted:
        vae.encode(torch.zeros(1, 3, 1, *config.data.size))
    views, times = (max(w[axis] for w in config.train.windows) for axis in (0, 1))
    return int(counted.get_total_flops()) * views * times


def _flop_counter() -> FlopCounterMode:
    """PyTorch's counter, which knows attention of GPUs but not of the CPU."""
    aten = torch.ops.aten
    ours = {
        aten._scaled_dot_product_flash_attention_for_cpu: _attention_flop,
        aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward_flop,
    }
    return FlopCounterMode(display=False, custom_mapping=ours)


def _attention_flop(query: Any, key: Any, value: Any, *args: Any, **kwargs: Any) -> int:
    """Two products of matrices a head; the shapes are ``(N, heads, L, d)``."""
    n, heads, length, width = query
    return int(4 * n * heads * length * key[2] * width)


def _attention_backward_flop(grad: Any, query: Any, key: Any, value: Any, *args: Any, **kwargs: Any) -> int:
    """Five products: the scores are computed again."""
    return _attention_flop(query, key, value) * 5 // 2
