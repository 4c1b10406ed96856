"""A network that chooses, pixel by pixel, among everything that flow says of a cell.

All candidates of a cell go through the same convolutions, so that what is learned of one kind of candidate serves the
others. What they share is pooled and looked at over a larger neighbourhood; every candidate then gets a logit in the
light of it. Its choice stands in the place of the first proposal. The paper has nothing of the kind: its model gets no
proposals; pooling over a set of candidates is as in IBRNet (Wang et al., CVPR 2021).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .residual import Residual, channels_last
from .shown_planes import ShownPlanes

LEAD = 5.0
"""Logit of the first proposal against candidates that nothing is known of, so that training starts from it."""
DIFFERENCE_GAIN, ERROR_GAIN, MISS_GAIN = 4.0, 4.0, 2.0
"""What brings differences of colours, photometric and forward-backward errors to about the size of 1."""
SPREAD_GAIN = 4.0
"""What brings the spread of what was chosen among to about the size of 1."""
CELLS_AT_ONCE = 8
"""Cells that are chosen for together where no gradient is kept: bounds the memory."""


class Chooser(nn.Module):
    """Chooses a picture for cells of RGB pixels.

    Args:
        planes: What is shown of a cell, candidates among it; the first plane is the first proposal.
        width: Channels of what is known of a candidate, at half the resolution.
    """

    def __init__(self, planes: ShownPlanes, width: int) -> None:
        super().__init__()
        self.planes = planes
        count, pooled = len(planes.candidates), 2 * width
        self._errors = [planes.error_channel(k) for k in range(count)]
        self._source = [planes.source_of(k) for k in range(count)]
        self._returns = planes.return_channels()
        self.kinds = nn.Parameter(torch.zeros(count, width))
        self.lead = nn.Parameter(torch.ones(1))  # in multiples of LEAD
        self.look = nn.Conv2d(4 * 9, width, 3, padding=1)
        self.look_on = nn.Conv2d(width, width, 3, padding=1)
        self.pool = nn.Conv2d(2 * width + 4 * (9 + len(planes.sources)), pooled, 3, padding=1)
        self.at_half = Residual(pooled)
        self.down = nn.Conv2d(pooled, 2 * pooled, 2, stride=2)
        self.at_quarter = nn.Sequential(Residual(2 * pooled), Residual(2 * pooled))
        self.up = nn.Conv2d(2 * pooled, 4 * pooled, 1)
        self.again = Residual(pooled)
        self.tell = nn.Conv2d(pooled, width, 3, padding=1)
        self.weigh = nn.Conv2d(width, width, 3, padding=1)
        self.logits = nn.Conv2d(width, 4, 1)
        self.drawn = nn.Conv2d(pooled, 4 * 3, 3, padding=1)
        for last in (self.logits, self.drawn):
            for parameter in last.parameters():
                nn.init.zeros_(parameter)

    def forward(self, proposals: Tensor) -> Tensor:
        """The chosen picture ``(N, 3, H, W)`` of cells.

        Args:
            proposals: ``(N, P, 3, H, W)`` in ``[-1, 1]``, the planes in their order.
        """
        return self._in_parts(proposals, False)

    def with_doubt(self, proposals: Tensor) -> Tensor:
        """The chosen picture and how sure the choice is, ``(N, 2, 3, H, W)``; the second is CHOICE_MAP.

        Both are kept within ``[-1, 1]``, as they are in files of 8 bits.

        Args:
            proposals: As of ``forward``.
        """
        return self._in_parts(proposals, True)

    def _in_parts(self, proposals: Tensor, doubt: bool) -> Tensor:
        if torch.is_grad_enabled() or len(proposals) <= CELLS_AT_ONCE:
            return self._choose(proposals, doubt)
        return torch.cat([self._choose(cells, doubt) for cells in proposals.split(CELLS_AT_ONCE)])

    def _choose(self, proposals: Tensor, doubt: bool) -> Tensor:
        first, pictures = proposals[:, 0], proposals[:, self.planes.candidates]
        errors, missed = self.read_errors(proposals)
        logits, drawn = self._weighed(first, pictures, errors, missed)
        share = shares(logits, LEAD * self.lead)
        made = blend_by(pictures, first, share)
        if not doubt:
            return made + drawn
        apart = ((torch.cat([pictures, first[:, None]], 1) - made[:, None]) ** 2).mean(2)
        spread = (share * apart).sum(1)
        of_first_source = [k for k, source in enumerate(self._source) if source == 0]
        told = torch.stack([SPREAD_GAIN * spread.sqrt(), share[:, of_first_source].sum(1), share[:, -1]], 1)
        return torch.stack([(made + drawn).clamp(-1, 1), 2 * told.clamp(0, 1) - 1], 1)

    def read_errors(self, proposals: Tensor) -> tuple[Tensor, Tensor]:
        """Errors ``(N, K, H, W)`` of the candidates and ``(N, S, H, W)`` of their sources' flows, in ``[0, 1]``.

        A candidate whose error isn't kept, as of what is disoccluded, has the least error of its source's others.

        Args:
            proposals: As of ``forward``.
        """
        kept = [None if at is None else (proposals[:, at[0], at[1]] + 1) / 2 for at in self._errors]
        pairs = list(zip(kept, self._source, strict=True))
        errors = []
        for own, source in pairs:
            others = [error for error, its in pairs if error is not None and its == source]
            errors.append(torch.stack(others, 1).amin(1) if own is None else own)
        missed = [(proposals[:, plane, channel] + 1) / 2 for plane, channel in self._returns]
        return torch.stack(errors, 1), torch.stack(missed, 1)

    def _weighed(self, first: Tensor, pictures: Tensor, errors: Tensor, missed: Tensor) -> tuple[Tensor, Tensor]:
        """Logits ``(N, K, H, W)`` of K candidates, and what is drawn beside, ``(N, 3, H, W)``."""
        n, count = pictures.shape[:2]
        apart = pictures - first[:, None]
        known = torch.cat(
            [
                pictures,
                DIFFERENCE_GAIN * apart,
                2 * DIFFERENCE_GAIN * apart.abs().mean(2, True),
                ERROR_GAIN * errors[:, :, None],
                MISS_GAIN * missed[:, self._source][:, :, None],
            ],
            2,
        )
        seen = self.look(channels_last(F.pixel_unshuffle(known.flatten(0, 1), 2)))
        seen = seen + self.kinds[None, :, :, None, None].expand(n, -1, -1, 1, 1).flatten(0, 1).to(seen.dtype)
        seen = self.look_on(channels_last(F.silu(seen)))
        each = seen.unflatten(0, (n, count))
        mean = pictures.mean(1)
        spread = 2 * DIFFERENCE_GAIN * ((pictures - mean[:, None]) ** 2).sum(1) / (count - 1)
        full = torch.cat([first, spread, mean - first, missed], 1)
        shared = self._around(torch.cat([each.mean(1), each.amax(1), F.pixel_unshuffle(full, 2)], 1))
        weighed = seen + self.tell(F.silu(shared)).repeat_interleave(count, 0)
        logits = self.logits(F.silu(self.weigh(F.silu(weighed))))
        return F.pixel_shuffle(logits, 2).view(n, count, *first.shape[-2:]), F.pixel_shuffle(
            self.drawn(F.silu(shared)), 2
        )

    def _around(self, pooled: Tensor) -> Tensor:
        """What all candidates share, with what lies around it."""
        shared = self.at_half(self.pool(channels_last(pooled)))
        wide = self.at_quarter(self.down(F.silu(shared)))
        again: Tensor = self.again(shared + F.pixel_shuffle(self.up(F.silu(wide)), 2))
        return again


def blend_candidates(pictures: Tensor, first: Tensor, logits: Tensor, lead: Tensor) -> Tensor:
    """Candidates ``(N, K, 3, H, W)`` and the first proposal ``(N, 3, H, W)`` blended by a softmax of their logits.

    Args:
        pictures: The candidates.
        first: The first proposal.
        logits: ``(N, K, H, W)`` of the candidates.
        lead: ``(1,)``, that of the first proposal, everywhere the same.
    """
    return blend_by(pictures, first, shares(logits, lead))


def shares(logits: Tensor, lead: Tensor) -> Tensor:
    """The softmax ``(N, K + 1, H, W)`` of the candidates' logits and, last, the first proposal's; float32."""
    ahead = lead.to(logits.dtype).expand(len(logits), 1, *logits.shape[-2:])
    return torch.cat([logits, ahead], 1).float().softmax(1)


def blend_by(pictures: Tensor, first: Tensor, share: Tensor) -> Tensor:
    """The blend ``(N, 3, H, W)`` by shares as ``shares`` gives them."""
    return (share[:, :-1, None] * pictures).sum(1) + share[:, -1:] * first
