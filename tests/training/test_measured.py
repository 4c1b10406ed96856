"""Proposals kept beside a cache, windows with what was measured of them, and losses on the subject and in decibels."""

from __future__ import annotations

import math
import shutil

import pytest
import torch

from fourreal_core.cli import main
from fourreal_core.errors import InputError
from fourreal_core.model.dit import GridInputs
from fourreal_core.model.joining import put_chooser_before
from fourreal_core.model.model4d import Model4D
from fourreal_core.model.model_file import load_model, save_model
from fourreal_core.model.spec import DiTSpec, Model4DSpec
from fourreal_core.proposals.grid_proposals import propose_planes
from fourreal_core.proposals.plane_names import PLANE_SETS
from fourreal_core.synthetic.scene import to_float
from fourreal_core.training.batches import make_batch, measured_grids
from fourreal_core.training.completions import complete_frames, first_row_and_column
from fourreal_core.training.data.cache import CachedGrids
from fourreal_core.training.data.measured import draw_measured, kept_proposals
from fourreal_core.training.data.proposals import proposal_path, propose_cache
from fourreal_core.training.objective import LEAST_ERROR, grid_loss, training_loss
from fourreal_core.training.trainer import train_stage
from fourreal_core.training.validation import first_guess

FOUR = PLANE_SETS["reliability"]


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def proposed(tiny_cache, tmp_path):
    """A copy of the cache with proposals and their reliability beside its first shard."""
    folder = tmp_path / "proposed"
    shutil.copytree(tiny_cache, folder)
    steps = []
    assert propose_cache(folder, "train", FOUR, 0, lambda done, total, preview=None: steps.append((done, total))) == 2
    assert steps == [(1, 2), (2, 2)]
    return folder


def test_kept_proposals_are_what_the_clips_say(proposed) -> None:
    grids = CachedGrids(proposed)
    for index in (0, 3):
        frames = to_float(grids.read(index)[0])
        made = propose_planes(FOUR, frames[:, 0], frames[0])
        assert (kept_proposals(grids, index, FOUR) - made).abs().max() <= 0.5 / 255 + 1e-6  # 8 bits
    assert kept_proposals(grids, 0, FOUR[:3]) is None


def test_proposing_goes_on_with_what_is_missing(proposed) -> None:
    paths = [proposal_path(path, FOUR) for path, _ in CachedGrids(proposed).shards]
    before = paths[0].stat().st_mtime_ns
    paths[1].unlink()
    assert propose_cache(proposed, "train", FOUR, 0) == 1
    assert paths[1].exists() and paths[0].stat().st_mtime_ns == before
    with pytest.raises(InputError, match="name a set of planes"):
        propose_cache(proposed, "train", (), 0)


@pytest.fixture
def choosy(tmp_path):
    """The file of a model with a chooser."""
    dit = DiTSpec(width=24, layers=1, heads=2, patch=4, conv_width=8, proposals=PLANE_SETS["candidates"], chooser=4)
    model = Model4D(Model4DSpec(dit, "soft"))
    torch.nn.init.normal_(model.dit.chooser.logits.weight, 0, 0.3, generator=rng(3))
    torch.nn.init.constant_(model.dit.chooser.lead, 0.2)
    save_model(tmp_path / "choosy.safetensors", model)
    return tmp_path / "choosy.safetensors"


def test_a_choice_is_kept_before_what_it_was_made_from(proposed, choosy) -> None:
    names, candidates = PLANE_SETS["chosen"], PLANE_SETS["candidates"]
    assert propose_cache(proposed, "train", names, 0, chooser=choosy) == 2
    grids, model = CachedGrids(proposed), load_model(choosy)
    frames = to_float(grids.read(3)[0])
    kept, made = kept_proposals(grids, 3, names), propose_planes(candidates, frames[:, 0], frames[0])
    assert len(kept) == len(names) and (kept[1:-1] - made).abs().max() <= 0.5 / 255 + 1e-6
    known = first_row_and_column(*frames.shape[:2])
    assert torch.equal(kept[0, known], frames[known]) and not kept[-1, known].any()
    inputs = GridInputs(
        (2 * frames - 1).movedim(-1, -3)[None],
        (~known).float()[None],
        known[None],
        (2 * made - 1).movedim(0, 2).movedim(-1, -3).flatten(2, 3)[None],
    )
    with torch.no_grad():
        chosen = (model.dit.choice(inputs)[0].movedim(-3, -1) + 1) / 2
    assert (kept[0] - chosen.clamp(0, 1)).abs().max() <= 1 / 255
    assert (kept[0] - made[0]).abs().max() > 0.01  # and no mere blend
    assert 0 < kept[-1, ~known].mean() < 1


def test_tokens_train_behind_a_kept_choice_and_then_choose_themselves(tiny, proposed, choosy) -> None:
    for split in ("train", "validation"):
        propose_cache(proposed, split, PLANE_SETS["chosen"], 0, chooser=choosy)
    config = tiny(
        "finetune4d",
        model__proposals="chosen",
        model__stem="differences",
        model__head="pull",
        model__sources=False,
        model__patch=4,
        train__trains="all",
        train__steps=2,
        train__cell_decibels=True,
        train__no_proposal=0.0,
        train__windows=((3, 3),),
        run__validate_every=2,
        data__cache=proposed.as_posix(),
    )
    report = train_stage(config)
    assert 5 < report["psnr"] < 60
    model = load_model(report["model"])
    assert model.dit.head_out.patch.weight.any()  # it has left its start
    joined = put_chooser_before(model, load_model(choosy))
    grids = CachedGrids(proposed, "validation")
    frames = to_float(grids.read(0)[0])
    made = complete_frames(joined, frames, rng())
    kept = kept_proposals(grids, 0, PLANE_SETS["chosen"])
    expected = first_guess(model, frames, first_row_and_column(*frames.shape[:2]), proposals=kept)
    assert (made - expected).abs().max() < 0.01  # 8 bits of what it is shown


def test_a_choice_takes_candidates_that_are_kept(proposed, choosy, monkeypatch) -> None:
    propose_cache(proposed, "train", PLANE_SETS["candidates"], 0)
    monkeypatch.setattr("fourreal_core.training.data.proposals.propose_planes", None)
    assert propose_cache(proposed, "train", PLANE_SETS["chosen"], 0, chooser=choosy) == 2


def test_a_choice_needs_its_chooser(proposed, choosy, tmp_path) -> None:
    chosen = PLANE_SETS["chosen"]
    with pytest.raises(InputError, match="--chooser"):
        propose_cache(proposed, "train", chosen, 0)
    with pytest.raises(InputError, match="--chooser"):
        propose_cache(proposed, "train", FOUR, 0, chooser=choosy)
    save_model(tmp_path / "plain.safetensors", Model4D(Model4DSpec(DiTSpec(width=24, layers=1, heads=2, patch=4))))
    with pytest.raises(InputError, match="plain.safetensors"):
        propose_cache(proposed, "train", chosen, 0, chooser=tmp_path / "plain.safetensors")
    frames = to_float(CachedGrids(proposed).read(0)[0])
    with pytest.raises(InputError, match="--kind chosen"):
        propose_planes(chosen, frames[:, 0], frames[0])
    arguments = ["data", "propose", "-o", str(proposed), "--kind", "chosen", "--engine", "here", "--quiet"]
    assert main([*arguments, "--chooser", str(choosy)]) == 0
    assert all(proposal_path(path, chosen).exists() for path, _ in CachedGrids(proposed).shards)


def test_a_damaged_file_is_named(proposed) -> None:
    grids = CachedGrids(proposed)
    path = proposal_path(grids.shards[0][0], FOUR)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match="propose again"):
        kept_proposals(grids, 0, FOUR)


def test_the_command_proposes(tiny_cache, tmp_path) -> None:
    folder = tmp_path / "cache"
    shutil.copytree(tiny_cache, folder)
    assert main(["data", "propose", "-o", str(folder), "--kind", "flow", "--workers", "0", "--quiet"]) == 0
    assert kept_proposals(CachedGrids(folder), 0, PLANE_SETS["flow"]) is not None
    assert main(["data", "propose", "-o", str(tmp_path / "nothing"), "--quiet"]) == 2


def test_windows_keep_the_given_cells_and_belong_together(proposed) -> None:
    grids = CachedGrids(proposed)
    mirrored = 0
    for seed in range(12):
        plain = draw_measured(grids, (2, 2), FOUR, False, rng(seed))
        assert plain.frames.shape == (2, 2, 16, 16, 3) and plain.proposals.shape == (4, 2, 2, 16, 16, 3)
        given = plain.frames.float() / 255
        for picture in plain.proposals[:3]:
            assert torch.equal(picture[0], given[0]) and torch.equal(picture[:, 0], given[:, 0])
        turned = draw_measured(grids, (2, 2), FOUR, True, rng(seed))
        flipped = turned.frames.flip(3).sort(-1).values.equal(plain.frames.sort(-1).values)
        mirrored += flipped
        back = turned.proposals.flip(4) if flipped else turned.proposals
        # colours may trade places in pictures, and never in the map
        assert torch.equal(back[3], plain.proposals[3])
        assert torch.equal(back[:3].sort(-1).values, plain.proposals[:3].sort(-1).values)
        assert torch.equal(turned.subject.flip(3) if flipped else turned.subject, plain.subject)
    assert 0 < mirrored < 12


def test_batches_show_kept_proposals(tiny, proposed) -> None:
    config = tiny(
        "finetune4d",
        model__proposals="reliability",
        train__windows=((3, 3),),
        train__subject_weight=0.5,
        data__cache=proposed.as_posix(),
    )
    batch = make_batch(config, CachedGrids(proposed), 0, range(2))
    assert batch.proposals.shape == (2, 3, 3, 4, 16, 16, 3) and batch.subject.shape == (2, 3, 3, 16, 16)
    assert torch.equal(batch.proposals[:, :, :, 0][batch.known], batch.frames[batch.known])
    assert not batch.proposals[:, :, :, 3][batch.known].any()


def test_a_subject_needs_its_outline(tiny, tiny_cache) -> None:
    config = tiny("pseudo4d", train__subject_weight=0.5)
    with pytest.raises(InputError, match="set it to 0"):
        measured_grids(config, CachedGrids(tiny_cache))


def test_the_error_on_the_subject_by_hand() -> None:
    truth, noise, known = torch.zeros(1, 1, 2, 3, 4, 4), torch.zeros(1, 1, 2, 3, 4, 4), torch.tensor([[[True, False]]])
    subject = torch.zeros(1, 1, 2, 4, 4, dtype=torch.bool)
    subject[0, 0, 1, :2, :2] = True  # 4 of 16 pixels of the unknown cell
    drawn = torch.zeros_like(truth)
    drawn[0, 0, 1, :, :2, :2] = 2.0
    assert grid_loss(drawn, truth, noise, known, "clean").item() == pytest.approx(1.0)
    assert grid_loss(drawn, truth, noise, known, "clean", subject).item() == pytest.approx(4.0)
    # latents of half the size: a latent pixel counts by its share
    assert grid_loss(
        drawn[..., ::2, ::2], truth[..., ::2, ::2], noise[..., ::2, ::2], known, "clean", subject
    ).item() == pytest.approx(4.0)
    nothing = grid_loss(drawn, truth, noise, known, "clean", torch.zeros_like(subject))
    assert nothing.item() == pytest.approx(1.0)  # measured as a whole


def test_decibels_weigh_grids_alike(tiny, proposed) -> None:
    config = tiny(
        "finetune4d",
        train__decibels=True,
        train__subject_weight=0.25,
        train__windows=((3, 3),),
        data__cache=proposed.as_posix(),
    )
    batch = make_batch(config, CachedGrids(proposed), 0, range(2))
    clean = torch.zeros(2, 3, 3, 3, 16, 16)
    drawn = torch.tensor([0.1, 0.2])[:, None, None, None, None, None].expand_as(clean).clone().requires_grad_()
    loss = training_loss(drawn, clean, clean, batch, "clean", config.train)
    for found, error in zip(loss, (0.01, 0.04), strict=True):  # the same everywhere, so on the subject too
        assert found.item() == pytest.approx(math.log(error + LEAST_ERROR), abs=1e-4)
    loss.sum().backward()
    # the slope of log(d^2) is 2 / d in total: the better grid pulls twice as much
    pulls = drawn.grad.flatten(1).sum(1)
    assert (pulls[0] / pulls[1]).item() == pytest.approx(2, rel=1e-2)


@pytest.mark.parametrize("share", [0.0, 0.25])
def test_decibels_of_every_cell_are_the_slow_loop(tiny, proposed, share) -> None:
    config = tiny(
        "finetune4d",
        train__cell_decibels=True,
        train__subject_weight=share,
        train__windows=((3, 3),),
        data__cache=proposed.as_posix(),
    )
    batch = make_batch(config, CachedGrids(proposed), 0, range(2))
    clean, drawn = (torch.rand(2, 3, 3, 3, 16, 16, generator=rng(seed)) for seed in (1, 2))
    loss = training_loss(drawn, clean, clean, batch, "clean", config.train)
    for b in range(2):
        whole, shown = [], []
        for v in (1, 2):
            for t in (1, 2):
                error = ((drawn - clean)[b, v, t] ** 2).mean(0)
                mask = None if batch.subject is None else batch.subject[b, v, t]
                whole.append(math.log(error.mean() + LEAST_ERROR))
                shown.append(math.log((error if mask is None or not mask.any() else error[mask]).mean() + LEAST_ERROR))
        expected = ((1 - share) * sum(whole) + share * sum(shown)) / 4
        assert loss[b].item() == pytest.approx(expected, abs=1e-5)


def test_a_refiner_with_errors_trains_and_is_measured(tiny, proposed) -> None:
    propose_cache(proposed, "validation", FOUR, 0)
    config = tiny(
        "finetune4d",
        model__proposals="reliability",
        model__conv_depth=1,
        model__lead=4.0,
        train__trains="all",
        train__decibels=True,
        train__subject_weight=0.5,
        data__cache=proposed.as_posix(),
    )
    report = train_stage(config)
    assert math.isfinite(report["loss"]) and 5 < report["psnr"] < 60
