"""Fréchet distance between the features of made and of true rows: FVD, and the same of other video networks.

FVD: Unterthiner et al. 2018. A grid alone has few rows, so the distance is worked out over all scenes of a method.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..flow.checkpoint_files import read_weights
from .figures import Figure, WholeFigure
from .learned import eight_bits, load_network

_log = logging.getLogger(__name__)
I3D_FRAMES, I3D_SIZE, I3D_CLASSES = 16, (224, 224), 400
"""What FVD's I3D is shown, and how many logits of Kinetics it makes of it."""


class VideoDistance(Protocol):
    """A video network whose features of rows are compared."""

    def entry(self) -> Figure:
        """What the distance is."""

    def features(self, rows: Tensor) -> Tensor:
        """``(V, C)`` of rows ``(V, T, H, W, 3)``."""


class FrechetVideoDistance:
    """A VideoDistance by a video network of ``transformers``.

    FVD is this with the logits of I3D; of another network it is not comparable to published values, and so has a name
    of its own.

    Args:
        folder: Of the network, such as VideoMAE's.
        device: Where it runs.

    Raises:
        InputError: No ``transformers``, or no such network on this disk.
    """

    def __init__(self, folder: str, device: str = "cpu") -> None:
        self.folder, self.device = folder, device
        self.processor, self.network = load_network("video", folder, "AutoImageProcessor", device)

    def entry(self) -> Figure:
        """See VideoDistance."""
        return _entry("frechet_video", "Fréchet video distance", f"transformers, {Path(self.folder).name}")

    def features(self, rows: Tensor) -> Tensor:
        """See VideoDistance; time is stretched to as many frames as the network takes."""
        count = int(getattr(self.network.config, "num_frames", 16))
        found = []
        for row in in_frames(rows, count):
            pictures = [eight_bits(frame) for frame in row]
            pixels = torch.cat([self.processor(images=p, return_tensors="pt")["pixel_values"] for p in pictures])
            with torch.inference_mode():
                # some processors take a picture for a video of one frame
                out = self.network(pixel_values=pixels.reshape(1, count, *pixels.shape[-3:]).to(self.device))
            found.append(out.last_hidden_state[0].mean(0).float().cpu().clone())
        return torch.stack(found)


class Fvd:
    """A VideoDistance: FVD, by the I3D of the package ``cd-fvd`` (Ge et al., CVPR 2024).

    Args:
        checkpoint: I3D's weights for Kinetics-400, a state dict as ``i3d_pretrained_400.pt`` is.
        device: Where it runs.

    Raises:
        InputError: No package, no checkpoint, or one of something else.
    """

    def __init__(self, checkpoint: str, device: str = "cpu") -> None:
        path = Path(checkpoint)
        if not checkpoint or not path.is_file():
            raise InputError(f"no file {checkpoint!r} for fvd", "fvd:CHECKPOINT", "name I3D's weights on this disk")
        try:
            from cdfvd.third_party.i3d.pytorch_i3d import InceptionI3d
        except ImportError as err:
            raise InputError(
                f"no cdfvd that works here ({err})", "it", "install it: python -m pip install cd-fvd"
            ) from err
        network: nn.Module = InceptionI3d(I3D_CLASSES, in_channels=3)
        try:
            network.load_state_dict(read_weights(path))
        except InputError:
            raise
        except Exception as err:  # whatever a file of another kind fails with
            why = (str(err).strip().splitlines() or [type(err).__name__])[0].rstrip(":.")
            raise InputError(
                f"{path.name} can't be read as I3D's weights ({why})",
                "a state dict such as i3d_pretrained_400.pt; a file of TorchScript is code and is not run",
                "choose another file",
            ) from err
        self.path, self.device, self.network = path, device, network.eval().to(device)

    def entry(self) -> Figure:
        """See VideoDistance."""
        return _entry("fvd", "FVD", f"cdfvd, {self.path.name}")

    def features(self, rows: Tensor) -> Tensor:
        """See VideoDistance: logits; time is stretched to 16 frames and pictures to 224 x 224 pixels."""
        found = []
        for row in in_frames(rows, I3D_FRAMES):
            planes = nn.functional.interpolate(row.clamp(0, 1).permute(0, 3, 1, 2), I3D_SIZE, mode="bilinear")
            with torch.inference_mode():
                found.append(self.network((planes * 2 - 1).transpose(0, 1)[None].to(self.device))[0].float().cpu())
        return torch.stack(found).clone()


class Rows:
    """Features of the rows of many grids, method by method, and the distances between them.

    Args:
        networks: That see them.
        methods: Whose rows there are.
    """

    def __init__(self, networks: Sequence[VideoDistance], methods: Sequence[str]) -> None:
        self.networks = networks
        self.features: list[dict[str, list[Tensor]]] = [{name: [] for name in methods} for _ in networks]

    def add(self, features: Sequence[Mapping[str, Tensor]]) -> None:
        """Takes what the networks made of one scene's rows ``(V - 1, C)``, by method."""
        for kept, found in zip(self.features, features, strict=True):
            for method, rows in found.items():
                kept[method].append(rows)

    def distances(self, truth: str) -> list[WholeFigure]:
        """Every method's distance from the method ``truth``; none where that has no rows."""
        made = []
        for network, found in zip(self.networks, self.features, strict=True):
            if found[truth]:
                true = torch.cat(found[truth])
                values = {
                    name: frechet_distance(torch.cat(rows), true) for name, rows in found.items() if name != truth
                }
                made.append(WholeFigure(network.entry(), values))
            else:
                _log.warning("%s: left out, there is no scene of which every true cell is there", network.entry().label)
        return made


def in_frames(rows: Tensor, count: int) -> Tensor:
    """Rows ``(V, T, H, W, 3)`` with as many times, the nearest ones repeated or left out."""
    return rows[:, torch.linspace(0, rows.shape[1] - 1, count).round().long()]


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Fréchet distance between the Gaussians of two sets of features ``(N, C)``.

    ``|m_a - m_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2))``; the trace of the root is the sum of the singular values of
    ``A B^T``, with A and B the centred features over the root of their number: no root of a large matrix is needed.
    Their upper triangles stand for A and B, so that what is taken apart is no larger than N or C.
    """
    a, b = a.double(), b.double()
    mean_a, mean_b = a.mean(0), b.mean(0)
    root_a, root_b = (a - mean_a) / len(a) ** 0.5, (b - mean_b) / len(b) ** 0.5
    upper_a, upper_b = (torch.linalg.qr(root, mode="r").R for root in (root_a, root_b))
    root = torch.linalg.svdvals(upper_a @ upper_b.T).sum()
    apart = ((mean_a - mean_b) ** 2).sum() + (root_a**2).sum() + (root_b**2).sum() - 2 * root
    return max(0.0, float(apart))  # equal sets differ by rounding


def _entry(name: str, label: str, maker: str) -> Figure:
    what = (
        "Distance between the features of all made rows and those of the true ones, of all scenes together; it falls "
        "with the number of rows, so compare only what has as many."
    )
    return Figure(name, label, "", "lower", what, maker, 3)
