"""One of two processes that train a model spread over both, save it half-way, and go on in a new one."""

from __future__ import annotations

import sys

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from fourreal_core.model.dit import GridInputs
from fourreal_core.model.model4d import Model4D
from fourreal_core.model.spec import DiTSpec, Model4DSpec
from fourreal_core.training.averaging import Average
from fourreal_core.training.states import optimizer_tensors, restore_optimizer, whole_weights

SPEC = Model4DSpec(DiTSpec(width=24, layers=2, heads=2, patch=4, conv_width=4), "soft_trained")


def inputs(step: int) -> tuple[GridInputs, torch.Tensor]:
    rng = torch.Generator().manual_seed(step)
    known = torch.zeros(1, 2, 2, dtype=torch.bool)
    known[:, 0] = known[:, :, 0] = True
    grid = torch.randn(1, 2, 2, 3, 8, 8, generator=rng)
    return GridInputs(grid, (~known).float(), known), torch.randn(grid.shape, generator=rng)


class Run:
    """A model with its optimizer and average; spread over the processes or whole."""

    def __init__(self, spread: bool, weights: dict[str, torch.Tensor] | None = None) -> None:
        self.model = Model4D(SPEC, torch.Generator().manual_seed(0))
        if weights is not None:
            self.model.load_state_dict(weights)
        if spread:
            mesh = init_device_mesh("cpu", (2,))
            for block in self.model.dit.blocks:
                fully_shard(block, mesh=mesh)
            fully_shard(self.model, mesh=mesh)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-2)
        self.average = Average(0.5, dict(self.model.named_parameters()))

    def steps(self, numbers: range) -> None:
        for step in numbers:
            given, wanted = inputs(step)
            ((self.model(given) - wanted) ** 2).mean().backward()
            self.optimizer.step()
            self.optimizer.zero_grad()
            self.average.update(dict(self.model.named_parameters()), step)


def main() -> None:
    dist.init_process_group("gloo")
    main_process = dist.get_rank() == 0
    first = Run(True)
    assert all(isinstance(p, DTensor) for p in first.model.parameters())
    first.steps(range(2))
    gathered = [
        whole_weights(first.model),
        optimizer_tensors(first.model, first.optimizer),
        {k: w.full_tensor() for k, w in first.average.weights.items()},
    ]
    box = [gathered if main_process else None]
    dist.broadcast_object_list(box)  # as if each had read the checkpoint
    weights, moments, average = box[0]
    second = Run(True, weights)
    second.average.set(average)
    restore_optimizer(second.model, second.optimizer, moments)
    second.steps(range(2, 4))
    found = whole_weights(second.model)
    averaged = {k: w.full_tensor() for k, w in second.average.weights.items()}
    if main_process:
        alone = Run(False)
        alone.steps(range(4))
        worst = max(float((found[k] - w).abs().max()) for k, w in alone.model.state_dict().items())
        worst_average = max(float((averaged[k] - w).abs().max()) for k, w in alone.average.weights.items())
        print(worst, worst_average, file=sys.stdout, flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
