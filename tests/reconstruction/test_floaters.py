"""Floaters pruned: most misplaced splats go and most of the others stay."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.reconstruction.floaters import FloaterOptions, prune_floaters, well_supported
from fourreal_core.scene.scene4d import Scene4D

from ..cancelling import Cancelled
from ..scene.scenes import SIZE, psnr, rendered_grid, wall_scene

VIEWS = 3


@pytest.fixture(scope="module")
def spoilt() -> tuple[Scene4D, torch.Tensor, torch.Tensor]:
    """The wall with 5 % of its splats put into the air before it, which of them, and the clip without them."""
    clean = wall_scene(VIEWS)
    rng = torch.Generator().manual_seed(3)
    wrong = torch.rand(len(clean.splats), generator=rng) < 0.05
    count = int(wrong.sum())
    z = 1.0 + 0.7 * torch.rand(count, generator=rng)
    means, colors = clean.splats.means.clone(), clean.splats.colors.clone()
    means[wrong] = means[wrong] * (z / means[wrong, 2])[:, None]
    colors[wrong] = torch.rand(count, 3, generator=rng).round()
    scene = replace(clean, splats=replace(clean.splats, means=means, colors=colors))
    return scene, wrong, rendered_grid(clean)[:, 0]


def in_sight(scene: Scene4D) -> torch.Tensor:
    at = scene.splats.means / scene.splats.means[:, 2:] * 32.0 + torch.tensor([SIZE[1] / 2, SIZE[0] / 2, 0])
    return (at[:, 0] > 2) & (at[:, 0] < SIZE[1] - 2) & (at[:, 1] > 2) & (at[:, 1] < SIZE[0] - 2)


def stays(scene: Scene4D, pruned: Scene4D) -> torch.Tensor:
    """Which splats are left, found by their places, which no two share."""
    left = {tuple(p) for p in pruned.splats.means.tolist()}
    return torch.tensor([tuple(p) in left for p in scene.splats.means.tolist()])


def test_misplaced_splats_go_and_the_others_stay(spoilt: tuple[Scene4D, torch.Tensor, torch.Tensor]) -> None:
    scene, wrong, frames = spoilt
    pruned = prune_floaters(scene, frames)
    left, seen = stays(scene, pruned), in_sight(scene)
    gone_wrong = float((~left)[wrong & seen].float().mean())
    gone_right = float((~left)[~wrong & seen].float().mean())
    print(f"misplaced splats that went: {gone_wrong:.3f}; right splats that went: {gone_right:.3f}")
    # colours of 0 or 1 before a painting in between: few of them come out alike in all views
    assert gone_wrong > 0.7
    assert gone_right < 0.1
    assert psnr(rendered_grid(pruned)[:, 0], frames) > psnr(rendered_grid(scene)[:, 0], frames) + 5


def test_a_clean_scene_keeps_its_splats() -> None:
    clean = wall_scene(VIEWS)
    pruned = prune_floaters(clean, rendered_grid(clean)[:, 0])
    assert len(pruned.splats) > 0.95 * len(clean.splats)


def test_only_opacities_and_colours_change(spoilt: tuple[Scene4D, torch.Tensor, torch.Tensor]) -> None:
    scene, _, frames = spoilt
    before = scene.splats.opacity_logits.clone(), frames.clone()
    pruned = prune_floaters(scene, frames, options=FloaterOptions(rounds=1))
    assert torch.equal(scene.splats.opacity_logits, before[0]) and torch.equal(frames, before[1])
    left = stays(scene, pruned)
    for name in ("means", "log_scales"):
        assert torch.equal(getattr(pruned.splats, name), getattr(scene.splats, name)[left])
    assert torch.equal(pruned.view_offsets, scene.view_offsets[:, left])
    assert float(pruned.splats.opacities.min()) >= 0.1 and not pruned.splats.opacity_logits.requires_grad


def test_the_same_scene_is_pruned_the_same_way(spoilt: tuple[Scene4D, torch.Tensor, torch.Tensor]) -> None:
    scene, _, frames = spoilt
    a, b = (prune_floaters(scene, frames, options=FloaterOptions(rounds=2)) for _ in range(2))
    assert torch.equal(a.splats.opacity_logits, b.splats.opacity_logits)


def test_pixels_that_do_not_count_prune_nothing(spoilt: tuple[Scene4D, torch.Tensor, torch.Tensor]) -> None:
    scene, _, frames = spoilt
    nothing = torch.zeros(SIZE, dtype=torch.bool)
    assert len(prune_floaters(scene, 1 - frames, nothing).splats) == len(scene.splats)


def test_progress_shows_every_render_and_stopping_passes_through() -> None:
    scene, seen = wall_scene(2), []
    frames = rendered_grid(scene)[:, 0]

    def note(done: int, total: int, preview: torch.Tensor | None = None) -> None:
        seen.append((done, total))
        assert preview is not None and preview.shape == (*SIZE, 3) and not preview.requires_grad
        assert float(preview.min()) >= 0 and float(preview.max()) <= 1

    prune_floaters(scene, frames, options=FloaterOptions(rounds=2), on_step=note)
    assert seen == [(k, 4) for k in (1, 2, 3, 4)]

    def stop(done: int, total: int, preview: torch.Tensor | None = None) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        prune_floaters(scene, frames, on_step=stop)


def test_another_clip_is_refused() -> None:
    with pytest.raises(InputError, match="the clip|freeze-time clip the scene was made from"):
        prune_floaters(wall_scene(3), torch.zeros(2, *SIZE, 3))


def test_options_are_checked() -> None:
    with pytest.raises(InputError, match="at least one round"):
        FloaterOptions(rounds=0)


def test_a_scene_that_explains_nothing_is_refused() -> None:
    scene = wall_scene(2)
    hidden = replace(scene, splats=replace(scene.splats, opacity_logits=torch.full_like(scene.splats.log_scales, -9.0)))
    with pytest.raises(InputError, match="no splat explains the clip"):
        prune_floaters(hidden, torch.full((2, *SIZE, 3), 0.2), options=FloaterOptions(rounds=1))


def flickering_patch(seen_by: int) -> tuple[Scene4D, torch.Tensor, torch.Tensor]:
    """The wall, its clip with a patch whose texture each view draws anew, and which splats lie there.

    The patch is in every view's picture; the first ``seen_by`` views say that they see its splats.
    """
    scene = wall_scene(VIEWS)
    frames = rendered_grid(scene)[:, 0].clone()
    texture = torch.rand(VIEWS, 8, 8, 3, generator=torch.Generator().manual_seed(4))
    for v in range(VIEWS):
        patch = frames[v, 8:16, 12 - v : 20 - v]
        patch += 0.5 * (texture[v] - patch)
    at = scene.splats.means[:, :2] / scene.splats.means[:, 2:] * 32.0 + torch.tensor([SIZE[1] / 2, SIZE[0] / 2])
    inside = ((at - torch.tensor([15.0, 12.0])).abs() < 3).all(-1)
    visible = scene.visible.clone()
    visible[seen_by:, inside] = False
    return replace(scene, visible=visible), frames, inside


def test_texture_that_differs_prunes_only_what_few_views_see() -> None:
    shares = {}
    for seen_by in (3, 2, 1):
        scene, frames, inside = flickering_patch(seen_by)
        shares[seen_by] = float(stays(scene, prune_floaters(scene, frames))[inside].float().mean())
    print(f"share that stays by the number of views that see it: {shares}")
    assert min(shares[3], shares[2]) > shares[1] + 0.15


@pytest.mark.parametrize(
    ("column", "seen", "supported"),
    [
        (5.5, [0, 1, 2], True),
        (5.5, [0, 2], True),  # two of three
        (5.5, [1], False),
        (0.5, [0, 1], True),  # in the pictures of views 0 and 1 alone
        (0.5, [0], False),  # half of the views, but one
        (-0.5, [0], False),  # the only view in whose picture it falls
        (5.5, [], False),
    ],
)
def test_support_by_hand(column: float, seen: list[int], supported: bool) -> None:
    scene = wall_scene(VIEWS)
    at = scene.splats.means[:, :2] / scene.splats.means[:, 2:] * 32.0 + torch.tensor([SIZE[1] / 2, SIZE[0] / 2])
    mine = ((at - torch.tensor([column, 10.5])).abs() < 0.1).all(-1)
    visible = torch.zeros_like(scene.visible)
    visible[seen] = True
    assert int(mine.sum()) == 1
    assert bool(well_supported(replace(scene, visible=visible))[mine]) == supported


def test_most_of_many_views_is_half_of_them() -> None:
    scene = wall_scene(5)
    middle = (scene.splats.means[:, :2].abs() < 0.2).all(-1)
    for seen, supported in ((3, True), (2, False)):
        visible = torch.zeros_like(scene.visible)
        visible[:seen] = True
        assert bool((well_supported(replace(scene, visible=visible))[middle] == supported).all())


def test_colours_are_gathered_from_the_clip() -> None:
    clean = wall_scene(VIEWS)
    frames = rendered_grid(clean)[:, 0]
    faded = replace(clean, splats=replace(clean.splats, colors=0.5 + 0.9 * (clean.splats.colors - 0.5)))
    own, common = (prune_floaters(faded, frames, options=FloaterOptions(1, keep)) for keep in (True, False))
    assert own.view_colors is not None and common.view_colors is None
    assert psnr(rendered_grid(common)[:, 0], frames) != psnr(rendered_grid(faded)[:, 0], frames)
    assert psnr(rendered_grid(own)[:, 0], frames) > psnr(rendered_grid(common)[:, 0], frames)
