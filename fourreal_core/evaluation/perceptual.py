"""LPIPS and ST-LPIPS, learned distances from the truth, by their authors' packages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import InputError
from ..flow.checkpoint_files import read_weights
from ..progress import OnStep, no_progress
from .figures import Figure
from .grids import EvaluatedGrid

_FIRST_LAYER = {(64, 3, 11, 11): "alex", (64, 3, 3, 3): "vgg"}
"""Shape of a trunk's first layer, by which its kind is known."""


class TruthDistance:
    """A LearnedFigure: a network's distance of every scored cell from the true one.

    Args:
        entry: What the figure is.
        network: Distance of two pictures ``(1, 3, H, W)`` in ``[0, 1]``.
        device: Where it runs.
    """

    def __init__(self, entry: Figure, network: Callable[[Tensor, Tensor], Tensor], device: str) -> None:
        self.entry, self.network, self.device = entry, network, device

    def entries(self) -> list[Figure]:
        """See LearnedFigure."""
        return [self.entry]

    def __call__(
        self, grid: EvaluatedGrid, truth: EvaluatedGrid | None, on_step: OnStep = no_progress
    ) -> tuple[dict[str, float], dict[str, dict[tuple[int, int], float]], dict[str, float]]:
        """See LearnedFigure; without a truth there is none."""
        if truth is None:
            return {}, {}, {}
        cells = {}
        wanted = grid.scored.nonzero().tolist()
        for done, (v, t) in enumerate(wanted, start=1):
            pair = [x.frames[v, t].permute(2, 0, 1)[None].to(self.device) for x in (grid, truth)]
            with torch.inference_mode():
                cells[v, t] = float(self.network(pair[0], pair[1]))
            on_step(done, len(wanted))
        values = {self.entry.name: float(np.mean(list(cells.values())))} if cells else {}
        return values, {self.entry.name: cells}, {}


def st_lpips(kind: str = "", device: str = "cpu") -> TruthDistance:
    """ST-LPIPS (Ghildyal and Liu, ECCV 2022), LPIPS that bears a shift of a pixel; the package carries its weights.

    Args:
        kind: ``alex``, also when empty, or ``vgg``.
        device: Where it runs.

    Raises:
        InputError: No package, or one that lacks a package of its own.
    """
    try:
        from stlpips_pytorch import stlpips
    except ImportError as err:
        raise InputError(
            f"no stlpips_pytorch that works here ({err})",
            "it with torchvision",
            "install them: python -m pip install stlpips-pytorch torchvision",
        ) from err
    kind = kind or "alex"
    if kind not in ("alex", "vgg"):
        raise InputError(f"ST-LPIPS of {kind!r}", "alex or vgg", "say stlpips or stlpips:vgg")
    network: nn.Module = stlpips.LPIPS(net=kind, variant="shift_tolerant", verbose=False)
    network = network.eval().to(device)
    what = "Learned distance from the truth that bears a shift of a pixel, mean over the scored cells."
    entry = Figure("stlpips", "ST-LPIPS", "", "lower", what, f"stlpips_pytorch, {kind}", 3)
    return TruthDistance(entry, lambda a, b: network(a, b, normalize=True), device)


def lpips(trunk: str, device: str = "cpu") -> TruthDistance:
    """LPIPS (Zhang et al., CVPR 2018) by its authors' package, which carries all weights but the trunk's.

    Args:
        trunk: File of torchvision's ImageNet weights of AlexNet (what published values mostly are of) or VGG-16.
        device: Where it runs.

    Raises:
        InputError: No package, no file, or one of another network.
    """
    path = Path(trunk)
    if not trunk or not path.is_file():
        raise InputError(
            f"no file {trunk!r} for lpips",
            "lpips:FILE, torchvision's weights of AlexNet or VGG-16",
            "name the file; it is not downloaded here",
        )
    try:
        import lpips as package
    except (ImportError, RuntimeError) as err:  # torchvision of another torch raises the latter
        raise InputError(
            f"no lpips that works here ({err})",
            "it with torchvision",
            "install them: python -m pip install lpips torchvision",
        ) from err
    weights = read_weights(path)
    kind = _FIRST_LAYER.get(tuple(getattr(weights.get("features.0.weight"), "shape", ())))
    if kind is None:
        raise InputError(f"{path.name}, which is of another network", "AlexNet or VGG-16", "choose another file")
    network: nn.Module = package.LPIPS(net=kind, pnet_rand=True, verbose=False)  # random: what is not is downloaded
    _load_trunk(network, weights, path)
    network = network.eval().to(device)
    what = "Learned distance from the truth, mean over the scored cells."
    entry = Figure("lpips", "LPIPS", "", "lower", what, f"lpips, {kind}, {path.name}", 3)
    return TruthDistance(entry, lambda a, b: network(a, b, normalize=True), device)


def _load_trunk(network: nn.Module, weights: dict[str, Tensor], path: Path) -> None:
    """Weights ``features.N.*`` of torchvision into ``net.sliceK.N.*`` of LPIPS."""
    trunk = {}
    for name, own in network.state_dict().items():
        if name.startswith("net.slice"):
            given = weights.get(f"features.{name.split('.', 2)[2]}")
            if given is None or given.shape != own.shape:
                raise InputError(f"{path.name} without {name}", "AlexNet or VGG-16 whole", "choose another file")
            trunk[name] = given
    network.load_state_dict(trunk, strict=False)
