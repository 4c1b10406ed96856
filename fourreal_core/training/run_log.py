"""What a run says of itself: JSON lines, TensorBoard, and sample grids as pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from ..media.contact_sheets import contact_sheet
from ..media.files import whole_file, write_bytes
from ..media.images import save_image


class RunLog:
    """Writes ``log.jsonl``, TensorBoard files and ``samples/step-N.png`` of a stage.

    Args:
        folder: Of the stage.
        step: Steps done so far; lines beyond it, which a killed run left, are removed.
        writes: Whether this process writes; the others' logs do nothing.
        tensorboard: Write TensorBoard files, where the package is installed.
    """

    def __init__(self, folder: Path, step: int, writes: bool, tensorboard: bool) -> None:
        self.folder, self.path = folder, folder / "log.jsonl"
        if writes and self.path.exists():
            kept = [line for line in self.path.read_text(encoding="utf-8").splitlines() if _step_of(line) <= step]
            write_bytes(self.path, "".join(line + "\n" for line in kept).encode())
        self._board = _board(folder / "tensorboard", step) if writes and tensorboard else None

    def line(self, step: int, **values: Any) -> None:
        """Adds a line, and its numbers to TensorBoard."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
        if self._board is not None:
            for name, value in values.items():
                if isinstance(value, (int, float)):
                    self._board.add_scalar(name, value, step)

    def sample(self, step: int, frames: Tensor, known: Tensor, truth: Tensor) -> Tensor:
        """Saves a made grid ``(V, T, H, W, 3)`` beside its truth; returns the picture."""
        import torch

        sheet = torch.cat([contact_sheet(frames, known), contact_sheet(truth, torch.zeros_like(known))], 1)
        (self.folder / "samples").mkdir(exist_ok=True)
        save_image(sheet, self.folder / "samples" / f"step-{step:08d}.png")
        if self._board is not None:
            self._board.add_image("sample", sheet, step, dataformats="HWC")
        return sheet

    def close(self) -> None:
        """Writes out what TensorBoard still holds."""
        if self._board is not None:
            self._board.close()


def write_report(path: Path, report: dict[str, Any]) -> None:
    """Writes a JSON file, whole or not at all."""
    with whole_file(path) as part:
        part.write_text(json.dumps(report, indent=1), encoding="utf-8")


def _step_of(line: str) -> float:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):  # the line that was being written when the run was killed
        return float("inf")


def _board(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=step + 1)
