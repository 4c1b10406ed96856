"""How much memory the main job takes, by the sizes of its grid: one estimate for everybody who asks.

Memory goes with the pixels of a frame, and with the splats up to their largest number. Two stages can be the largest:
finding cameras and depth, which holds the flows between all near views, and fitting the scene to the completed grid,
which holds every cell with its expected error and what the optimiser keeps of every splat. How many steps a quality
fits for changes nothing of it. Fitted to ``benchmarks/memory.py``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from .flow.memoized import MOST_BYTES
from .geometry.structure_from_motion import REACH
from .grid import FrameGrid
from .metrics import free_memory_mb
from .tracking.track3d import TrackOptions

BASE_MB = 600.0
"""A process with everything loaded and compiled, before it looks at a clip."""
_FLOW, _PICTURE = 8, 12
"""Bytes a pixel of a flow, and of a picture."""
_A_CELL = _PICTURE + 4 + 3
"""Bytes a pixel of a completed cell: its picture, its expected error, its share of the motion residual."""
_A_CHOSEN_FLOW = 24
"""Bytes a pixel that chosen flows between a known cell and the first of its row or column take, both ways."""
_WORKING = 1150
"""Bytes a pixel of what a stage works on: maps and gradients of one picture, geometry and matches of all views."""
_SPLATS_A_PIXEL = 1.15
"""Splats of a clip, until there are as many as are followed at most."""
_A_SPLAT, _A_SPLAT_IN_A_VIEW = 1400, 60
"""Bytes of a splat while it is fitted, features of its motion included, and of its offset and colour in each view."""
_RAFT_CORRELATION = 2 * 4 * 4 / 3 / 8**4
"""Bytes of RAFT's correlation volume, all levels and both ways, by the square of a picture's pixels."""
_SIDE_STEP = 16


@dataclass(frozen=True)
class JobSize:
    """The sizes of a main job.

    Attributes:
        views: Rows of the grid.
        times: Its columns.
        height: Of the frames in pixels.
        width: Likewise.
        flow: The flow engine as the command names it; the network of ``raft`` takes memory of its own.
    """

    views: int
    times: int
    height: int
    width: int
    flow: str = "dis"

    @classmethod
    def of(cls, grid: FrameGrid, flow: str = "dis") -> JobSize:
        """Of the job that completes a grid."""
        return cls(grid.views, grid.times, *grid.size, flow)

    @property
    def working_mb(self) -> float:
        """MiB that the job takes at most, beyond those of a process that has everything loaded.

        Networks that stand in for geometry or tracks are not counted.
        """
        pixels, known = self.height * self.width, self.views + self.times - 1
        reach = min(REACH, self.views - 1)
        pairs = sum(2 * (self.views - gap) for gap in range(1, reach + 1))
        splats = min(TrackOptions().max_points, _SPLATS_A_PIXEL * pixels)
        geometry = pixels * (_FLOW * pairs + 3 * _FLOW * reach)
        fitting: float = pixels * (_A_CELL * self.views * self.times + _A_CHOSEN_FLOW * known)
        fitting += splats * (_A_SPLAT + _A_SPLAT_IN_A_VIEW * self.views)
        kept = min(MOST_BYTES, pixels * _FLOW * 4 * known)
        total: float = max(geometry, fitting) + pixels * (_PICTURE * known + _WORKING) + kept
        if self.flow.startswith("raft"):
            total += _RAFT_CORRELATION * pixels**2
        return total / 2**20

    @property
    def estimated_mb(self) -> float:
        """MiB that a process which does only this job takes at most."""
        return BASE_MB + self.working_mb

    def fitting(self, free_mb: float) -> JobSize | None:
        """This job at the largest size of the same shape that ``free_mb`` are enough for; None if there is none."""
        for side in range(max(self.height, self.width) // _SIDE_STEP * _SIDE_STEP, 0, -_SIDE_STEP):
            factor = side / max(self.height, self.width)
            height, width = (2 * round(length * factor / 2) for length in (self.height, self.width))
            smaller = replace(self, height=height, width=width)
            if min(height, width) >= 32 and smaller.working_mb <= free_mb:
                return smaller
        return None


def memory_shortfall(job: JobSize, free_mb: float | None = None, lower: str = "the size") -> str:
    """A sentence where a job needs more memory than there is; empty where it doesn't, or nobody can tell.

    Args:
        job: What is to be done.
        free_mb: What there is; asked of the machine when None.
        lower: What makes frames smaller where the user is, such as ``--size``.
    """
    free = free_memory_mb() if free_mb is None else free_mb
    if free is None or job.working_mb <= free:
        return ""
    smaller = job.fitting(free)
    fits = "" if smaller is None else f" ({smaller.width} x {smaller.height} pixels would fit)"
    return (
        f"{job.views} x {job.times} cells of {job.width} x {job.height} pixels need about {_gb(job.working_mb)} of "
        f"memory, and {_gb(free)} are free: the job may become very slow, or be ended by the system; lower {lower}"
        f"{fits}, or the number of views and times"
    )


def _gb(mb: float) -> str:
    return f"{math.ceil(mb / 102.4) / 10:.1f} GB"
