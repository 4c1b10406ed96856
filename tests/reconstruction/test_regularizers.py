"""Penalties on a motion: nothing for what is plausible, the stated measure for what is not."""

from __future__ import annotations

import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.reconstruction.regularizers import MotionRegularizers, motion_penalty, stretch
from fourreal_core.reconstruction.trained_motion import TrainedMotion

from ..scene.scenes import sliding, wall_scene

TIMES = 5


def motion(pixels: tuple[float, float] = (4.0, 0.0)) -> TrainedMotion:
    return TrainedMotion(wall_scene(2, TIMES, sliding(TIMES, pixels)))


def penalty(of: TrainedMotion, **weights: float) -> float:
    return motion_penalty(of, MotionRegularizers(**weights), torch.Generator().manual_seed(0)).item()


def test_an_even_slide_is_rigid_and_smooth_but_no_standing() -> None:
    assert penalty(motion(), rigidity=1.0) < 1e-4 and penalty(motion(), smoothness=1.0) < 1e-6
    # four pixels of a focal length of 32 at the end, half of that on average over the knots, in one of three axes
    assert penalty(motion(), standing=1.0) == pytest.approx(4 / 32 * (1 + 2 + 3 + 4) / 16 / 3, rel=1e-3)
    assert penalty(motion((0.0, 0.0)), standing=1.0) == 0


def test_a_jerk_is_not_smooth() -> None:
    jerky = motion()
    with torch.no_grad():
        jerky.out.view(-1, 4, 3)[-1, 1] += 0.5
    jerky.refresh()
    assert penalty(jerky, smoothness=1.0) > 0.05


def test_stretch_by_hand() -> None:
    start = torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 1.0], [5.0, 0.0, 1.0]])
    moved = torch.zeros(3, 2, 3)
    moved[1, 1, 0] = 0.5
    found = stretch(start, moved, 1)
    assert found.shape == (3, 1, 2)
    # the second and the third splat's nearest ones are the first and the second
    torch.testing.assert_close(found[:, 0, 1], torch.tensor([0.5, 0.5, -0.125]), rtol=0, atol=1e-5)
    torch.testing.assert_close(found[:, 0, 0], torch.zeros(3), rtol=0, atol=1e-5)


def test_a_turn_does_not_stretch() -> None:
    start = torch.rand(30, 3, generator=torch.Generator().manual_seed(0)) + torch.tensor([0.0, 0.0, 2.0])
    turned = start[:, [1, 0, 2]] * torch.tensor([-1.0, 1.0, 1.0])
    assert float(stretch(start, (turned - start)[:, None], 4).abs().max()) < 1e-4  # float32


def test_gradients_lead_to_a_plausible_motion() -> None:
    jerky = motion()
    with torch.no_grad():
        jerky.out += 0.02 * torch.randn(jerky.out.shape, generator=torch.Generator().manual_seed(1))
    jerky.refresh()
    options, generator = MotionRegularizers(rigidity=1.0, smoothness=1.0), torch.Generator().manual_seed(0)
    before = motion_penalty(jerky, options, generator).item()
    adam = torch.optim.Adam([jerky.out], lr=2e-3)
    for _ in range(30):
        motion_penalty(jerky, options, generator).backward()
        jerky.pull()
        adam.step()
        jerky.refresh()
    assert motion_penalty(jerky, options, generator).item() < 0.5 * before


def test_nothing_asked_or_nothing_that_moves_is_no_penalty() -> None:
    nothing = motion_penalty(motion(), MotionRegularizers(), torch.Generator())
    assert float(nothing) == 0 and not nothing.requires_grad
    still = wall_scene(2, TIMES, sliding(TIMES))
    still = TrainedMotion(still.select(torch.zeros(len(still.splats), dtype=torch.bool)))
    assert penalty(still, rigidity=1.0) == 0


@pytest.mark.parametrize("wrong", [{"rigidity": -1.0}, {"samples": 1}, {"neighbours": 0}])
def test_options_are_checked(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match="no negative weight"):
        MotionRegularizers(**wrong)
