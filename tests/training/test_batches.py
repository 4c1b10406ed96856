"""Batches: what is known, what is noisy, and that they depend on step and place alone."""

from __future__ import annotations

import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.model.codec import SpaceToDepth
from fourreal_core.proposals.grid_proposals import propose_planes
from fourreal_core.proposals.plane_names import PLANE_SETS
from fourreal_core.synthetic.grids import GridOptions, make_grid
from fourreal_core.training.batches import (
    augment,
    cut,
    draw_known_cells,
    draw_level,
    generator_for,
    make_batch,
    step_shape,
)
from fourreal_core.training.data.cache import CachedGrids, CacheOptions, render_cache
from fourreal_core.training.data.sources import Mixture
from fourreal_core.training.objective import flow_distance, grid_loss, noisy_inputs


def test_a_batch_is_the_same_however_it_is_split(tiny, tiny_cache):
    config, source = tiny("finetune4d", train__batch=4), CachedGrids(tiny_cache)
    whole = make_batch(config, source, 7, range(4))
    halves = [make_batch(config, source, 7, range(i, i + 2)) for i in (0, 2)]
    for name in ("frames", "known", "level"):
        assert torch.equal(getattr(whole, name), torch.cat([getattr(h, name) for h in halves]))
    assert whole.noise_seeds == halves[0].noise_seeds + halves[1].noise_seeds
    assert not torch.equal(whole.frames, make_batch(config, source, 9, range(4)).frames)


def test_grids_know_their_first_row_and_column(tiny, tiny_cache):
    batch = make_batch(tiny("finetune4d"), CachedGrids(tiny_cache), 0, range(2))
    v, t = batch.known.shape[1:]
    assert batch.known[:, 0].all() and batch.known[:, :, 0].all()
    assert int(batch.known[0].sum()) == v + t - 1
    assert (batch.level[batch.known] == 0).all() and (batch.level[~batch.known] > 0).all()


def test_chunks_know_more_columns(tiny):
    config = tiny("finetune4d", train__chunk_share=1.0)
    columns = {int(draw_known_cells(config, (8, 8), generator_for(i)).all(0).sum()) for i in range(40)}
    assert columns == {1, 2, 3, 4}


def test_base_steps_are_rows_columns_and_images(tiny, tiny_cache):
    config, source = tiny("base", train__image_share=0.3), CachedGrids(tiny_cache)
    shapes = [step_shape(config, step)[1] for step in range(60)]
    assert set(shapes) == {(1, 3), (3, 1), (1, 1)}
    for shape in set(shapes):
        batch = make_batch(config, source, shapes.index(shape), range(1))
        assert batch.frames.shape == (1, *shape, 16, 16, 3)


def test_base_knows_the_first_0_to_4_frames(tiny):
    config = tiny("base")
    counts = []
    for i in range(200):
        known = draw_known_cells(config, (1, 8), generator_for(i))[0]
        assert torch.equal(known, torch.arange(8) < known.sum())  # the first ones
        counts.append(int(known.sum()))
    assert set(counts) == {0, 1, 2, 3, 4}
    assert min(counts.count(k) for k in range(5)) > 20  # 40 expected of each; 20 is 3.5 standard deviations below
    assert not draw_known_cells(config, (1, 1), generator_for(1)).any()  # an image is never given away


@pytest.mark.parametrize("levels", ["uniform", "logit_normal"])
def test_levels_are_in_range_and_often_full(tiny, levels):
    config = tiny("base", train__levels=levels, train__full_noise=0.5)
    drawn = [draw_level(config, generator_for(i)) for i in range(100)]
    assert all(0 < level <= 1 for level in drawn)
    assert 30 < drawn.count(1.0) < 70  # 50 expected, 5 a standard deviation


def test_augmentation_keeps_frames_whole():
    grid = torch.arange(2 * 3 * 4 * 4 * 3).reshape(2, 3, 4, 4, 3)
    kinds = [augment(grid, generator_for(i)) for i in range(60)]
    assert all(torch.equal(k.flatten().sort().values, grid.flatten()) for k in kinds)
    assert any(torch.equal(k, grid.flip(0)) for k in kinds) or any(torch.equal(k, grid.flip(1)) for k in kinds)


def test_windows_lie_inside(tiny_cache):
    grid = CachedGrids(tiny_cache).read(0)[0]
    assert cut(grid, (2, 3), generator_for(1)).shape == (2, 3, 16, 16, 3)


def test_inputs_are_clean_where_known_and_mixed_elsewhere(tiny, tiny_cache):
    batch = make_batch(tiny("finetune4d"), CachedGrids(tiny_cache), 0, range(2))
    inputs, clean, noise = noisy_inputs(batch, SpaceToDepth(1))
    assert torch.equal(inputs.latents[batch.known], clean[batch.known])
    level = batch.level[..., None, None, None]
    torch.testing.assert_close(inputs.latents, (1 - level) * clean + level * noise)
    assert abs(float(noise.mean())) < 0.05 and abs(float(noise.std()) - 1) < 0.05  # 9216 numbers: 0.01 a deviation


@pytest.mark.parametrize("prediction", ["velocity", "clean"])
def test_the_loss_is_zero_for_the_truth_and_blind_to_known_cells(prediction):
    clean, noise = (torch.randn(2, 2, 3, 3, 4, 4, generator=torch.Generator().manual_seed(i)) for i in (0, 1))
    known = torch.zeros(2, 2, 3, dtype=torch.bool)
    known[:, 0] = True
    truth = clean if prediction == "clean" else noise - clean
    wrong_where_known = truth + 5 * known[..., None, None, None]
    assert torch.equal(grid_loss(wrong_where_known, clean, noise, known, prediction), torch.zeros(2))
    off = grid_loss(truth + 0.5, clean, noise, known, prediction)
    torch.testing.assert_close(off, torch.full((2,), 0.25))


def test_flows_come_with_their_window_also_mirrored_and_strided(tiny, tmp_path):
    sizes = GridOptions(4, 4, (16, 16), window=4)
    render_cache(tmp_path, CacheOptions("train", 2, 2, sizes, flows=True), 0)
    config = tiny("finetune4d", train__windows=((2, 2),), train__flow_weight=0.1, train__flow_steps=9, train__batch=12)
    batch, later = (make_batch(config, CachedGrids(tmp_path), step, range(12)) for step in (0, 9))
    assert later.flows is None and batch.flows is not None and batch.flows.shape == (12, 2, 2, 2, 2, 16, 16)
    assert float(batch.flows[:, :, 0, 0].abs().max()) == 0 and float(batch.flows[:, 0, :, 1].abs().max()) == 0
    true = (make_grid("train", i, sizes, flows=True).flows for i in (0, 1))
    kept = [(f * 4).round() / 4 for f in true]
    mirror = torch.tensor([-1.0, 1.0])[:, None, None]
    allowed = [f[: 2 * a : a, : 2 * b : b] for f in kept for a in (1, 2) for b in (1, 2)]
    allowed += [f.flip(-1) * mirror for f in allowed]
    assert all(any(torch.equal(flow, other) for other in allowed) for flow in batch.flows)
    with pytest.raises(InputError, match="flows asked of data that has none"):
        make_batch(config, Mixture([CachedGrids(tmp_path)], [1]), 0, range(1))


def test_flow_distance_counts_pixels_of_unknown_cells_that_can_be_copied():
    flows = torch.zeros(1, 2, 2, 2, 2, 4, 4)
    known = torch.tensor([[[True, True], [True, False]]])
    offsets = flows.clone()
    offsets[:, 0] = 50  # known
    offsets[:, 1, 1, :, 0] = 3
    offsets[:, 1, 1, :, 1] = 4
    torch.testing.assert_close(flow_distance(offsets, flows, known), torch.tensor([5.0]), rtol=1e-4, atol=0)
    flows[:, 1, 1, :, 0, :, :2] = -9  # these lie outside; the other half still is 5 away
    torch.testing.assert_close(flow_distance(offsets, flows, known), torch.tensor([5.0]), rtol=1e-4, atol=0)


def test_refiners_are_shown_what_flow_proposes(tiny, tiny_cache):
    config = tiny("finetune4d", model__proposals=PLANE_SETS["flow"], train__windows=((3, 3),))
    batch = make_batch(config, CachedGrids(tiny_cache), 0, range(2))
    for k in range(2):
        assert torch.equal(batch.proposals[:, :, :, k][batch.known], batch.frames[batch.known])
    hidden = torch.where(batch.known[..., None, None, None], batch.frames, 0.0)
    seen = torch.stack([propose_planes(PLANE_SETS["flow"], grid[:, 0], grid[0]).movedim(0, 2) for grid in hidden])
    assert torch.equal(batch.proposals, seen)  # nothing of the unknown cells is in it
    assert noisy_inputs(batch, SpaceToDepth(1))[0].proposal.shape == (2, 3, 3, 6, 16, 16)
    assert tiny("finetune4d", model__proposals="flow").model.dit.proposals == PLANE_SETS["flow"]
    with pytest.raises(InputError, match="one of none, flow, verified"):
        tiny("finetune4d", model__proposals="settled")


def test_a_proposal_is_now_and_then_kept_back(tiny, tiny_cache):
    config = tiny("finetune4d", model__proposals=PLANE_SETS["flow"], train__windows=((3, 3),), train__no_proposal=1.0)
    batches = [make_batch(config, CachedGrids(tiny_cache), step, range(2)) for step in range(8)]
    shown = torch.cat([batch.shown for batch in batches])
    assert shown.sum(1).eq(1).all() and shown.any(0).all()
    inputs = noisy_inputs(batches[0], SpaceToDepth(1))[0]
    there = inputs.proposal.unflatten(3, (2, 3)).flatten(4).any(-1)
    assert torch.equal(there, batches[0].shown[:, None, None].expand(2, 3, 3, 2))
    all_shown = tiny(
        "finetune4d", model__proposals=PLANE_SETS["flow"], train__windows=((3, 3),), train__no_proposal=0.0
    )
    assert make_batch(all_shown, CachedGrids(tiny_cache), 0, range(2)).shown.all()
