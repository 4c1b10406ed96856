"""Work on many items: in this process, in a pool of processes, or on the machines of a Ray cluster."""

from .interface import ENGINES, Failure, Needs, Outcome, SpreadOptions, Tick, spread_work
from .memory_limit import MemoryExceeded, limited_memory
from .where import worker_name

__all__ = [
    "ENGINES",
    "Failure",
    "MemoryExceeded",
    "Needs",
    "Outcome",
    "SpreadOptions",
    "Tick",
    "limited_memory",
    "spread_work",
    "worker_name",
]
