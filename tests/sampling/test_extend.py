"""Extensions: the same whole or cut short, given cells exact, memory that doesn't grow, folders that are told apart."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.model.shown_planes import PLANES_BY_COUNT
from fourreal_core.sampling.chunks import Chunk, ChunkOptions, ChunkPlan, plan_chunks
from fourreal_core.sampling.extend import StartClips, extend, gather_chunk, model_completer
from fourreal_core.sampling.known_cells import KnownCells
from fourreal_core.sampling.rectified_flow import SamplingOptions
from fourreal_core.sampling.stores import FolderStore, MemoryStore

from .tiny import clips, tiny_model

V, T = 5, 9
OPTIONS = ChunkOptions(views=4, times=5, keep=2, far="first")
PLAN = plan_chunks(V, T, OPTIONS)
CELLS = [(v, t) for v in range(V) for t in range(T)]


def counting(known: KnownCells, chunk: Chunk, generator: torch.Generator) -> torch.Tensor:
    """Draws each unknown cell as one more than the largest that it sees: shows what came from where."""
    return torch.full_like(known.latents, float(known.latents[known.mask].max()) + 1)


def by_model() -> object:
    return model_completer(tiny_model(), SamplingOptions(steps=2))


def numbered() -> StartClips:
    return StartClips(torch.zeros(V, 1, 1, 1), torch.zeros(T, 1, 1, 1))


def test_chunks_see_what_came_before_them() -> None:
    store = MemoryStore(PLAN)
    extend(PLAN, numbered(), counting, store)
    grid = store.read(CELLS).view(V, T)
    expected = torch.tensor(
        [[0, 0, 0, 0, 0, 0, 0, 0, 0], *[[0, 1, 1, 1, 1, 2, 2, 3, 3]] * 3, [0, 2, 2, 2, 2, 3, 3, 4, 4]]
    )
    assert grid.tolist() == expected.float().tolist()


def test_given_cells_come_through_exactly() -> None:
    given, store = clips(V, T), MemoryStore(PLAN)
    extend(PLAN, given, by_model(), store, seed=4)
    for v, t in CELLS:
        if v == 0 or t == 0:
            assert torch.equal(store.read([(v, t)])[0], given.read(v, t))
    assert bool(torch.isfinite(store.read(CELLS)).all())


def test_further_given_cells_are_held_too() -> None:
    class More(StartClips):
        @property
        def mask(self) -> torch.Tensor:
            known = super().mask
            known[2, 6] = True
            return known

        def read(self, view: int, time: int) -> torch.Tensor:
            return torch.full((1, 1, 1), 50.0) if (view, time) == (2, 6) else super().read(view, time)

    given = More(torch.zeros(V, 1, 1, 1), torch.zeros(T, 1, 1, 1))
    store = MemoryStore(PLAN)
    extend(PLAN, given, counting, store)
    assert store.read([(2, 6), (2, 5)]).flatten().tolist() == [50, 51]


def test_what_a_chunk_knows() -> None:
    store = MemoryStore(PLAN)
    extend(PLAN, numbered(), counting, store)
    known = gather_chunk(PLAN.chunks[3], 3, PLAN.finished_by(), numbered(), store)
    # views 0, 2, 3 and the new 4; times 0, 3, 4 and the new 5, 6
    assert known.mask[0].int().tolist() == [[1, 1, 1, 1, 1]] * 3 + [[1, 1, 1, 0, 0]]


@pytest.mark.parametrize("after", [1, 4])
def test_a_killed_run_goes_on_to_the_same_grid(tmp_path: Path, after: int) -> None:
    given, whole = clips(V, T), MemoryStore(PLAN)
    extend(PLAN, given, by_model(), whole, seed=4)

    class Killed(Exception):
        pass

    def kill(done: int, total: int, preview: torch.Tensor | None = None) -> None:
        if done == after:
            raise Killed

    with pytest.raises(Killed):
        extend(PLAN, given, by_model(), FolderStore(tmp_path / "e", PLAN, "seed 4"), 4, kill)
    (tmp_path / "e" / ".chunk_00005-1-ab.part.safetensors").write_bytes(b"half")  # what kill -9 leaves behind
    drawn, model = [], by_model()

    def counted(known: KnownCells, chunk: Chunk, generator: torch.Generator) -> torch.Tensor:
        drawn.append(chunk)
        return model(known, chunk, generator)

    store = FolderStore(tmp_path / "e", PLAN, "seed 4")
    extend(PLAN, given, counted, store, seed=4)
    assert drawn == list(PLAN.chunks[after:])
    assert torch.equal(store.read(CELLS), whole.read(CELLS))


def test_a_finished_run_draws_nothing(tmp_path: Path) -> None:
    extend(PLAN, numbered(), counting, FolderStore(tmp_path, PLAN))

    def never(*arguments: object) -> torch.Tensor:
        raise AssertionError

    steps = []
    extend(
        PLAN,
        numbered(),
        never,
        FolderStore(tmp_path, PLAN),
        on_step=lambda done, total, preview=None: steps.append((done, total)),
    )
    assert steps == [(k, 6) for k in range(1, 7)]


def test_a_run_keeps_no_more_than_a_chunk_in_memory(tmp_path: Path) -> None:
    held = {}
    for times in (16, 120):
        plan = plan_chunks(8, times, ChunkOptions())
        sizes = []

        class Watched(FolderStore):
            def read(self, cells: list, sizes: list = sizes) -> torch.Tensor:
                sizes.append(len(cells))
                return super().read(cells)

        given = StartClips(torch.zeros(8, 1, 1, 1), torch.zeros(times, 1, 1, 1))
        extend(plan, given, counting, Watched(tmp_path / str(times), plan))
        held[times] = max(sizes)
    assert held[16] == held[120] == 7 * 4  # the kept columns without row 0


def test_another_extension_s_folder_is_refused(tmp_path: Path) -> None:
    FolderStore(tmp_path, PLAN, "a")
    FolderStore(tmp_path, PLAN, "a")
    for plan, key in ((PLAN, "b"), (plan_chunks(V, T + 1, OPTIONS), "a")):
        with pytest.raises(InputError, match="choose another folder"):
            FolderStore(tmp_path, plan, key)
    (tmp_path / "extension.json").write_text("{")
    with pytest.raises(InputError, match="choose another folder"):
        FolderStore(tmp_path, PLAN, "a")


def test_a_damaged_chunk_is_named(tmp_path: Path) -> None:
    store = FolderStore(tmp_path, PLAN)
    extend(PLAN, numbered(), counting, store)
    store.path(2).write_bytes(store.path(2).read_bytes()[:20])
    with pytest.raises(InputError, match="chunk_00002.*delete the file"):
        store.read([(1, 5)])


def test_chunks_have_noise_of_their_own_and_seeds_count() -> None:
    grids = []
    for seed in (1, 1, 2):
        store = MemoryStore(PLAN)
        extend(PLAN, clips(V, T), by_model(), store, seed)
        grids.append(store.read(CELLS))
    assert torch.equal(grids[0], grids[1])
    assert not torch.equal(grids[0], grids[2])


def test_a_proposal_is_asked_for_each_chunk() -> None:
    asked = []

    def proposal(chunk: Chunk) -> torch.Tensor:
        asked.append(chunk)
        return torch.zeros(1, len(chunk.window.views), len(chunk.window.times), 3, 8, 8)

    complete = model_completer(tiny_model(proposals=PLANES_BY_COUNT[1]), SamplingOptions(steps=1), proposal=proposal)
    extend(PLAN, clips(V, T), complete, MemoryStore(PLAN))
    assert asked == list(PLAN.chunks)


def short(plan: ChunkPlan = PLAN) -> StartClips:
    return StartClips(torch.zeros(plan.views, 1, 1, 1), torch.zeros(plan.times - 1, 1, 1, 1))


def test_given_cells_of_another_grid_are_refused() -> None:
    with pytest.raises(InputError, match="plan the extension"):
        extend(PLAN, short(), counting, MemoryStore(PLAN))


def test_a_start_with_nothing_known_is_refused() -> None:
    class Nothing(StartClips):
        @property
        def mask(self) -> torch.Tensor:
            return torch.zeros(V, T, dtype=torch.bool)

    with pytest.raises(InputError, match="no cell is known"):
        extend(PLAN, Nothing(torch.zeros(V, 1, 1, 1), torch.zeros(T, 1, 1, 1)), counting, MemoryStore(PLAN))
