"""Figures of learned features: ST-LPIPS by its package, CLIP, DINO and video networks by ``transformers``.

Weights come from an installed package or a folder on this disk; nothing is downloaded.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import InputError
from ..progress import OnStep, no_progress
from .figures import Figure
from .grids import EvaluatedGrid

Cells = dict[tuple[int, int], float]


class LearnedFigure(Protocol):
    """Anything that judges a grid by learned features."""

    def entries(self) -> list[Figure]:
        """What its figures are."""

    def __call__(
        self, grid: EvaluatedGrid, truth: EvaluatedGrid | None, on_step: OnStep = no_progress
    ) -> tuple[dict[str, float], dict[str, Cells], dict[str, float]]:
        """Values by the figure's name, those of cells, and the reference of the given cells."""


class StLpips:
    """ST-LPIPS (Ghildyal and Liu, ECCV 2022), LPIPS that bears a shift of a pixel; the package carries its weights.

    Raises:
        InputError: No package, or one that lacks a package of its own.
    """

    def __init__(self, argument: str = "", device: str = "cpu") -> None:
        try:
            from stlpips_pytorch import stlpips
        except ImportError as err:
            raise InputError(
                f"no stlpips_pytorch that works here ({err})",
                "it with torchvision",
                "install them: python -m pip install stlpips-pytorch torchvision",
            ) from err
        kind = argument or "alex"
        if kind not in ("alex", "vgg"):
            raise InputError(f"ST-LPIPS of {kind!r}", "alex or vgg", "say stlpips or stlpips:vgg")
        self.kind, self.device = kind, device
        network: nn.Module = stlpips.LPIPS(net=kind, variant="shift_tolerant", verbose=False)
        self.network = network.eval().to(device)

    def entries(self) -> list[Figure]:
        """See LearnedFigure."""
        what = "Learned distance from the truth that bears a shift of a pixel, mean over the scored cells."
        return [Figure("stlpips", "ST-LPIPS", "", "lower", what, f"stlpips_pytorch, {self.kind}", 3)]

    def __call__(
        self, grid: EvaluatedGrid, truth: EvaluatedGrid | None, on_step: OnStep = no_progress
    ) -> tuple[dict[str, float], dict[str, Cells], dict[str, float]]:
        """See LearnedFigure; without a truth there is none."""
        cells: Cells = {}
        wanted = grid.scored.nonzero().tolist() if truth is not None else []
        for done, (v, t) in enumerate(wanted, start=1):
            assert truth is not None
            pair = [x.frames[v, t].permute(2, 0, 1)[None].to(self.device) for x in (grid, truth)]
            with torch.inference_mode():
                cells[v, t] = float(self.network(*pair, normalize=True))
            on_step(done, len(wanted))
        return ({"stlpips": float(np.mean(list(cells.values())))} if cells else {}), {"stlpips": cells}, {}


class FeatureConsistency:
    """Cosine similarity of a picture network's features between neighbouring cells, in time and across views.

    Args:
        name: ``clip`` or ``dino``.
        folder: Of the network, as ``transformers`` saves it.
        device: Where it runs.

    Raises:
        InputError: No ``transformers``, or no such network on this disk.
    """

    def __init__(self, name: str, folder: str, device: str = "cpu") -> None:
        self.name, self.folder, self.device = name, folder, device
        self.processor, self.network = load_network(name, folder, "AutoImageProcessor", device)

    def entries(self) -> list[Figure]:
        """See LearnedFigure."""
        what = "Mean cosine similarity of features of {}; a scene that stands still has 1."
        maker, label = f"transformers, {Path(self.folder).name}", self.name.upper()
        return [
            Figure(
                f"{self.name}_time",
                f"{label} in time",
                "",
                "higher",
                what.format("a cell and the next time's"),
                maker,
                4,
            ),
            Figure(
                f"{self.name}_view",
                f"{label} across views",
                "",
                "higher",
                what.format("a cell and the next view's"),
                maker,
                4,
            ),
        ]

    def __call__(
        self, grid: EvaluatedGrid, truth: EvaluatedGrid | None, on_step: OnStep = no_progress
    ) -> tuple[dict[str, float], dict[str, Cells], dict[str, float]]:
        """See LearnedFigure."""
        cells = [(v, t) for v, t in grid.there.nonzero().tolist()]
        features = {}
        for done, cell in enumerate(cells, start=1):
            features[cell] = self.features(grid.frames[cell])
            on_step(done, len(cells))
        made: dict[str, Cells] = {}
        given: dict[str, list[float]] = {}
        for a in cells:
            for kind, b in (("time", (a[0], a[1] + 1)), ("view", (a[0] + 1, a[1]))):
                if b not in features:
                    continue
                alike = float(nn.functional.cosine_similarity(features[a], features[b], dim=0))
                if bool(grid.given[a] & grid.given[b]):
                    given.setdefault(f"{self.name}_{kind}", []).append(alike)
                else:
                    made.setdefault(f"{self.name}_{kind}", {})[b] = alike
        values = {name: float(np.mean(list(found.values()))) for name, found in made.items()}
        return values, made, {name: float(np.mean(found)) for name, found in given.items()}

    def features(self, frame: Tensor) -> Tensor:
        """``(C,)`` of a frame ``(H, W, 3)``."""
        inputs = self.processor(images=_eight_bits(frame), return_tensors="pt").to(self.device)
        with torch.inference_mode():
            if hasattr(self.network, "get_image_features"):
                found = self.network.get_image_features(**inputs)
            else:
                found = self.network(**inputs)
        if not isinstance(found, Tensor):
            pooled = getattr(found, "pooler_output", None)
            found = found.last_hidden_state[:, 0] if pooled is None else pooled
        feature: Tensor = found[0].float().cpu().clone()
        return feature


class FrechetVideoDistance:
    """Fréchet distance between the features of made and of true rows, by a video network of ``transformers``.

    FVD (Unterthiner et al. 2018) is this with the features of I3D; with another network it is not comparable to
    published ones, and so has a name of its own. A grid alone has few rows, so the distance is worked out over all
    scenes of a method, see comparison.

    Args:
        folder: Of the network, such as VideoMAE's.
        device: Where it runs.

    Raises:
        InputError: No ``transformers``, or no such network on this disk.
    """

    name = "frechet_video"

    def __init__(self, folder: str, device: str = "cpu") -> None:
        self.folder, self.device = folder, device
        self.processor, self.network = load_network("video", folder, "AutoImageProcessor", device)

    def features(self, rows: Tensor) -> Tensor:
        """``(V, C)`` of rows ``(V, T, H, W, 3)``; time is stretched to as many frames as the network takes."""
        count = int(getattr(self.network.config, "num_frames", 16))
        steps = torch.linspace(0, rows.shape[1] - 1, count).round().long()
        found = []
        for row in rows:
            pictures = [_eight_bits(row[t]) for t in steps.tolist()]
            pixels = torch.cat([self.processor(images=p, return_tensors="pt")["pixel_values"] for p in pictures])
            with torch.inference_mode():
                # some processors take a picture for a video of one frame
                out = self.network(pixel_values=pixels.reshape(1, count, *pixels.shape[-3:]).to(self.device))
            found.append(out.last_hidden_state[0].mean(0).float().cpu().clone())
        return torch.stack(found)


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Fréchet distance between the Gaussians of two sets of features ``(N, C)``.

    ``|m_a - m_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2))``; the trace of the root is the sum of the singular values of
    ``A B^T``, with A and B the centred features over the root of their number, or of ``R_a R_b^T`` with their upper
    triangles: no root of a large matrix is needed, and what is taken apart is no larger than N or C.
    """
    a, b = a.double(), b.double()
    mean_a, mean_b = a.mean(0), b.mean(0)
    root_a, root_b = (a - mean_a) / len(a) ** 0.5, (b - mean_b) / len(b) ** 0.5
    upper_a, upper_b = (torch.linalg.qr(root, mode="r").R for root in (root_a, root_b))
    root = torch.linalg.svdvals(upper_a @ upper_b.T).sum()
    return float(((mean_a - mean_b) ** 2).sum() + (root_a**2).sum() + (root_b**2).sum() - 2 * root)


def load_network(name: str, folder: str, processor: str, device: str) -> tuple[Any, Any]:
    """Processor and network of a folder on this disk.

    Raises:
        InputError: No ``transformers``, or no such network.
    """
    if not folder or not Path(folder).is_dir():
        raise InputError(f"no folder {folder!r} for {name}", f"{name}:FOLDER", "name a network's folder on this disk")
    try:
        import transformers
    except (ImportError, RuntimeError, OSError) as err:
        raise InputError(
            f"no transformers that works here ({err})", "it", "install it: python -m pip install transformers"
        ) from err
    makers: Any = transformers
    try:
        with contextlib.redirect_stdout(None):
            network = makers.AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
            made = getattr(makers, processor).from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, ImportError) as err:
        why = (str(err).strip().splitlines() or [type(err).__name__])[0].rstrip(".")
        raise InputError(
            f"the network in {folder} can't be loaded ({why})",
            "a folder of safetensors and configuration, as transformers saves it",
            "choose another folder",
        ) from err
    return made, network.eval().to(device)


def _eight_bits(frame: Tensor) -> np.ndarray:
    picture: np.ndarray = (frame.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    return picture
