"""How much memory a job asks for: by the size of its grid."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..job_memory import JobSize
from ..needed import MissingPackage
from ..spread import Needs
from .arguments import DEFAULT_COUNT, parse_size

if TYPE_CHECKING:
    from ..batch.fingerprint import Job

_UNKNOWN_SIZE = (720, 1280)


def job_needs(cpus: float, gpus: float, memory_mb: int | None) -> Callable[[Job], Needs]:
    """What a job takes: what its row says, else what the command says, else memory by size."""

    def needs(job: Job) -> Needs:
        said = job.needs
        memory = int(said["memory_mb"]) if "memory_mb" in said else memory_mb
        return Needs(
            float(said.get("cpus", cpus)),
            float(said.get("gpus", gpus)),
            estimated_mb(job) if memory is None else memory,
        )

    return needs


def estimated_mb(job: Job) -> int:
    """MiB of memory that a job needs at most, by the size of its grid."""
    options = job.options
    height, width = parse_size(options["size"]) if "size" in options else clip_size(_shown(job))
    views, times = (int(options.get(name, DEFAULT_COUNT)) for name in ("views", "times"))
    return round(JobSize(views, times, height, width, options.get("flow", "dis")).estimated_mb)


def _shown(job: Job) -> str:
    """A path that shows how large a job's frames are: of its clip, or of its folder of views."""
    return job.inputs.get("freeze_time") or job.inputs.get("views_from", "")


def clip_size(path: str) -> tuple[int, int]:
    """``(height, width)`` of a local clip, from its header alone; of one that can't be looked at, that of 720p."""
    try:
        from ..needed.pyav import av
    except MissingPackage:  # it can run without, and then reads no header
        return _UNKNOWN_SIZE

    from ..media.images import IMAGE_SUFFIXES

    file = Path(path)
    try:
        if file.is_dir():
            file = next(p for p in sorted(file.iterdir()) if p.suffix.lower() in IMAGE_SUFFIXES)
        with av.open(str(file)) as container:
            stream = container.streams.video[0]
            return (stream.height, stream.width) if stream.height and stream.width else _UNKNOWN_SIZE
    except (av.FFmpegError, OSError, IndexError, StopIteration, ValueError):
        return _UNKNOWN_SIZE
