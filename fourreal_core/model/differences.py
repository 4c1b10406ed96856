"""Patches of what pictures differ by, and a head that pulls the first of them toward the others.

The stem shows tokens the first proposal, every other picture by its difference to it, and the maps; all of it in plain
patches, so that whatever is known of a cell goes through its tokens. The head draws upon the first proposal and moves
it along those differences, by a share a pixel that may also be negative; it reads nothing but tokens, and at first
leaves the first proposal as it is. Ours, neither of the paper nor of its supplement.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .residual import zero_parameters
from .spec import DiTSpec

DIFFERENCE_GAIN = 2.0
"""What brings differences of pictures in ``[-1, 1]`` to about the size of the pictures' own contrast."""


class DifferenceStem(nn.Module):
    """Pictures to tokens.

    Args:
        spec: Its ``sources`` and ``proposals`` say which pictures there are, see ``VideoDiT.embed``.
    """

    def __init__(self, spec: DiTSpec) -> None:
        super().__init__()
        self.spec = spec
        self.patch = nn.Conv2d(spec.input_channels, spec.width, spec.patch, stride=spec.patch)

    def forward(self, latents: Tensor, known: Tensor, pictures: Tensor, present: Tensor) -> Tensor:
        """Tokens ``(N, D, rows, columns)``.

        Args:
            latents: ``(N, C, H, W)``, as much of them as isn't noise.
            known: ``(N, 1, H, W)``.
            pictures: ``(N, copies, C, H, W)``.
            present: ``(N, copies)`` bool.
        """
        apart = DIFFERENCE_GAIN * differences(pictures, present, self.spec.first_proposal)
        as_they_are = torch.ones(self.spec.copies, dtype=torch.bool, device=pictures.device)
        as_they_are[list(self.spec.pulled)] = False  # maps, and the first itself
        shown = torch.where(as_they_are[:, None, None, None], pictures, apart)
        tokens: Tensor = self.patch(torch.cat([latents, known, shown.flatten(1, 2)], 1))
        return tokens


class PullHead(nn.Module):
    """Tokens to what is drawn upon the first proposal and how far that is pulled to other pictures; zero at first.

    Args:
        spec: As of the stem.
    """

    def __init__(self, spec: DiTSpec) -> None:
        super().__init__()
        self.spec = spec
        self.norm = nn.LayerNorm(spec.width, elementwise_affine=False)
        self.patch = nn.Linear(spec.width, (spec.channels + len(spec.pulled)) * spec.patch**2)
        zero_parameters(self.patch)

    def forward(self, tokens: Tensor, size: tuple[int, int], pictures: Tensor, present: Tensor) -> Tensor:
        """The picture ``(N, C, H, W)``.

        Args:
            tokens: ``(N, S, D)``, normalised and modulated already.
            size: Rows and columns of tokens.
            pictures: ``(N, copies, C, H, W)``.
            present: ``(N, copies)`` bool.
        """
        planes = self.patch(tokens).view(len(tokens), *size, -1).permute(0, 3, 1, 2).float()
        drawn, pulls = F.pixel_shuffle(planes, self.spec.patch).split([self.spec.channels, len(self.spec.pulled)], 1)
        first = pictures[:, self.spec.first_proposal].to(drawn.dtype)
        apart = differences(pictures, present, self.spec.first_proposal)[:, self.spec.pulled]
        made: Tensor = first + drawn + (pulls[:, :, None] * apart.to(drawn.dtype)).sum(1)
        return made


def differences(pictures: Tensor, present: Tensor, first: int) -> Tensor:
    """What pictures ``(N, copies, C, H, W)`` differ by from one of them; nothing where either isn't there."""
    both = (present & present[:, first : first + 1])[:, :, None, None, None]
    return torch.where(both, pictures - pictures[:, first : first + 1], 0)
