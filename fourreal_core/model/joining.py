"""One model of two: a chooser, and a model that was trained on what it had chosen."""

from __future__ import annotations

from dataclasses import replace

from ..errors import InputError
from .checkpoints import load_strictly
from .model4d import Model4D


def put_chooser_before(model: Model4D, other: Model4D) -> Model4D:
    """The model behind the other's chooser: it then chooses for itself what it was shown in training.

    Args:
        model: Trained on choices that were kept, without a chooser of its own.
        other: Whose chooser made them; nothing else of it is used.

    Returns:
        A new model, in evaluation mode.

    Raises:
        InputError: The other has no chooser, or the model was trained on other planes.
    """
    width, shown = other.spec.dit.chooser, other.spec.dit.proposals
    mine = model.spec.dit
    joined = replace(mine, proposals=shown, chooser=width) if width else mine
    if not width or mine.chooser or joined.shown_planes.names != mine.proposals:
        raise InputError(
            f"a chooser of width {width} among {len(shown)} planes before a model that sees {len(mine.proposals)}",
            "the model whose chooser made the planes that this one was trained on",
            "name that one",
        )
    whole = Model4D(replace(model.spec, dit=joined))
    chooser = {name: w for name, w in other.state_dict().items() if name.startswith("dit.chooser.")}
    load_strictly(whole, model.state_dict() | chooser, "a model and its chooser")
    return whole.eval()
