"""Models that come with the package load as any other, and are small."""

from __future__ import annotations

import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.model.model_file import load_model
from fourreal_core.model.packaged import packaged_model, packaged_models


def test_the_small_model_ships_and_works_in_float32():
    path = packaged_model("small")
    assert "small" in packaged_models() and path.stat().st_size <= 20 * 2**20
    model = load_model(path)
    assert {p.dtype for p in model.parameters()} == {torch.float32} and not model.training
    assert model.spec.dit.channels == 3 and not model.spec.dit.text_width  # no VAE and no prompts, as workflows have it


def test_other_names_are_refused(tmp_path):
    assert packaged_models(tmp_path) == []
    with pytest.raises(InputError, match="none do"):
        packaged_model("small", tmp_path)
    with pytest.raises(InputError, match="small"):
        packaged_model("large")
