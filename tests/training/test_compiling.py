"""train.compile: which parts are compiled, that copies aren't, and that it changes no prediction."""

from __future__ import annotations

import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.training import preparing
from fourreal_core.training.preparing import compile_parts, starting_model
from fourreal_core.training.trainees import with_weights

from ..model.small import grid_inputs


@pytest.fixture
def compiles() -> None:
    """Skips where there is nothing to compile with."""
    try:
        torch.compile(torch.neg)(torch.zeros(1))
    except Exception as err:
        pytest.skip(f"torch.compile: {str(err).splitlines()[0]}")


def test_a_compiled_model_predicts_the_same_and_its_copies_are_plain(tiny, compiles):
    model = starting_model(tiny("base"))
    inputs = grid_inputs(1, 2, 2, 16, model.spec.dit)
    before = model(inputs)
    compile_parts(model, torch.device("cpu"))
    compiled = [name for name, part in model.named_modules() if part._compiled_call_impl is not None]
    assert {"dit.stem", "dit.head_out", "dit.blocks.0"} <= set(compiled)
    torch.testing.assert_close(model(inputs), before, rtol=1e-4, atol=1e-5)  # float32, summed in another order
    copied = with_weights(model, model.state_dict())
    assert all(part._compiled_call_impl is None for part in copied.modules())
    assert set(copied.state_dict()) == set(model.state_dict())


def test_without_a_compiler_it_says_so_before_training(tiny, monkeypatch):
    said = ["no compiler was found\nmore", ""]

    def broken(function):
        raise RuntimeError(said.pop(0))

    monkeypatch.setattr(preparing.torch, "compile", broken)
    with pytest.raises(InputError, match=r"nothing can be compiled \(no compiler was found\).*C\+\+ compiler"):
        compile_parts(starting_model(tiny("base")), torch.device("cpu"))
    with pytest.raises(InputError, match=r"\(RuntimeError\)"):  # an error that says nothing
        compile_parts(starting_model(tiny("base")), torch.device("cpu"))


def test_a_model_of_diffusers_is_not_compiled():
    with pytest.raises(InputError, match="train.compile for a model of diffusers"):
        compile_parts(torch.nn.Linear(1, 1), torch.device("cpu"))
