"""What a run from elsewhere needs of the core: a name for its inputs, any given cells, and what refiners are shown."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.proposals.model_inputs import model_inputs
from fourreal_core.proposals.plane_names import PLANE_SETS
from fourreal_core.sampling.chunks import ChunkOptions, plan_chunks
from fourreal_core.sampling.extend import GivenFrames, extend
from fourreal_core.sampling.run_key import run_key
from fourreal_core.sampling.stores import FolderStore


def test_a_key_tells_every_input_apart() -> None:
    x = torch.arange(6.0).view(2, 3)
    parts = {"seed": 1, "x": [x, {"a": None, "b": "text"}]}
    key = run_key(**parts)
    assert key == run_key(**parts) and len(key) == 32
    others = [
        parts | {"seed": 2},
        parts | {"seed": "1"},
        parts | {"seed": True},
        parts | {"x": [x, {"a": None}]},
        parts | {"x": [x.view(3, 2), parts["x"][1]]},
        parts | {"x": [x.double(), parts["x"][1]]},
        parts | {"x": [x + 1e-6, parts["x"][1]]},
        parts | {"x": [x]},
        parts | {"y": 1},
    ]
    assert len({key, *(run_key(**other) for other in others)}) == 1 + len(others)
    assert run_key(x=x.T) == run_key(x=x.T.contiguous())


def test_any_cells_can_be_given_and_a_finished_folder_goes(tmp_path: Path) -> None:
    mask = torch.zeros(3, 6, dtype=torch.bool)
    mask[0] = mask[:, 0] = mask[2, 5] = True
    cells = {tuple(cell): torch.full((1, 1, 1), 10.0 * cell[0] + cell[1]) for cell in mask.nonzero().tolist()}
    given = GivenFrames(mask, cells)
    plan = plan_chunks(3, 6, ChunkOptions(views=3, times=4, keep=1))
    store = FolderStore(tmp_path / "run", plan)
    extend(plan, given, lambda known, chunk, generator: torch.full_like(known.latents, -1.0), store)
    assert all(torch.equal(store.read([cell])[0], latent) for cell, latent in cells.items())
    assert float(store.read([(2, 4)])) == -1
    store.delete()
    assert not (tmp_path / "run").exists()
    with pytest.raises(InputError, match="encode exactly the given cells"):
        GivenFrames(mask, dict(list(cells.items())[1:]))


def test_a_folder_with_other_files_stays(tmp_path: Path) -> None:
    store = FolderStore(tmp_path, plan_chunks(3, 6, ChunkOptions(views=3, times=4, keep=1)))
    (tmp_path / "mine.txt").write_text("x")
    store.delete()
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


TWO = PLANE_SETS["flow"]


def test_refiners_are_shown_flow_and_what_is_given() -> None:
    frames = torch.rand(3, 4, 32, 48, 3, generator=torch.Generator().manual_seed(0))
    known = torch.zeros(3, 4, dtype=torch.bool)
    known[0] = known[:, 0] = True
    given = torch.rand(frames.shape, generator=torch.Generator().manual_seed(1))
    flow = model_inputs(frames, known, TWO)
    both = model_inputs(frames, known, TWO, given)
    assert flow is not None and both is not None and flow.shape == both.shape == (2, *frames.shape)
    for proposals in (flow, both):
        assert torch.equal(proposals[:, known], frames[known][None].expand(2, -1, -1, -1, -1))
    assert torch.equal(both[0][~known], given[~known]) and torch.equal(both[1], flow[1])
    one = model_inputs(frames, known, TWO[:1], given)
    assert one is not None and torch.equal(one[0], both[0])
    known[1, 0] = False  # without column 0 there is no flow to carry over
    assert model_inputs(frames, known, TWO) is None and model_inputs(frames, known, (), given) is None
    alone = model_inputs(frames, known, TWO, given)
    assert alone is not None and len(alone) == 1
    with pytest.raises(InputError, match="one of each cell"):
        model_inputs(frames, known, TWO, given[:2])
