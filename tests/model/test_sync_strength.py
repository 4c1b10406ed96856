"""How strongly sync acts: by hand, over passes, and without changing what is drawn."""

from __future__ import annotations

import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.model.sync import hard_sync, soft_sync, soft_weight
from fourreal_core.model.sync_strength import SyncRecorder, recorded_sync

from .small import grid_inputs, tiny_model


def test_by_hand() -> None:
    recorder = SyncRecorder(lambda layer, a, b, s: hard_sync(a, b), 2)
    for layer in range(2):
        recorder(layer, torch.tensor([3.0, 4.0]), torch.tensor([3.0, 0.0]))
    # the mean is (3, 2): |(0, -2)| / 5 and |(0, 2)| / 3
    assert recorder.by_layer()[0].tolist() == pytest.approx([0.4, 0.4])
    assert recorder.by_layer()[1].tolist() == pytest.approx([2 / 3, 2 / 3])


def test_soft_strength_grows_with_the_weight_for_the_same_tokens() -> None:
    recorder = SyncRecorder(lambda layer, a, b, s: soft_sync(a, b, soft_weight(layer, 5)), 5)
    y = torch.randn(2, 40, generator=torch.Generator().manual_seed(0))
    for layer in range(5):
        recorder(layer, y[0], y[1])
    view = recorder.by_layer()[0]
    assert bool((view[1:] > view[:-1]).all())
    assert (view[4] / view[0]).item() == pytest.approx(soft_weight(4, 5) / soft_weight(0, 5), rel=1e-5)


def test_every_pass_is_noted_and_the_picture_stays() -> None:
    model, inputs = tiny_model("soft_trained", dropped="first"), grid_inputs()
    before = model(inputs)
    with recorded_sync(model) as recorder:
        after = [model(inputs) for _ in range(3)]
    assert all(torch.equal(x, before) for x in after)
    strength = recorder.by_pass()
    assert strength.shape == (3, 2, 3)
    assert not strength[:, :, 0].any() and bool((strength[:, :, 1:] > 0).all())
    model(inputs)
    assert len(recorder.by_pass()) == 3  # nothing is noted after the block


def test_without_a_pass_there_is_nothing_to_tell() -> None:
    with pytest.raises(InputError, match="sample a grid"):
        SyncRecorder(lambda layer, a, b, s: (a, b), 2).by_layer()
