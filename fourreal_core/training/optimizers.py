"""The optimizers of training: AdamW, and AdamW with moments of eight bits."""

from __future__ import annotations

from typing import Any

import torch

from ..errors import InputError, one_line
from .options import TrainOptions


def make_optimizer(groups: list[dict[str, Any]], train: TrainOptions) -> torch.optim.Optimizer:
    """The optimizer that the options name.

    Args:
        groups: Parameters, each group with its weight decay.
        train: Name, learning rate and betas.

    Raises:
        InputError: Eight bits asked for, and bitsandbytes isn't there.
    """
    if train.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=train.learning_rate, betas=train.betas)
    try:
        from bitsandbytes.optim import AdamW8bit
    except Exception as err:  # missing, or built for another CUDA
        raise InputError(
            f'train.optimizer = "adamw8bit" where bitsandbytes can\'t be loaded ({one_line(err)})',
            "that package",
            'pip install "comfyui-4real[train8bit]", or set train.optimizer to "adamw"',
        ) from err
    made: torch.optim.Optimizer = AdamW8bit(groups, lr=train.learning_rate, betas=train.betas)
    return made
