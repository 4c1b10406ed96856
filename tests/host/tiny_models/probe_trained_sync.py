"""Run by the host: a native model with the weights of a base of diffusers, and sync layers trained on that base."""

from __future__ import annotations

import host_process

host_process.enter_host()

import json  # noqa: E402 - the host reads its arguments before anything else
import logging  # noqa: E402
import os  # noqa: E402
import traceback  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import comfy.sample  # noqa: E402
import families  # noqa: E402
import folder_paths  # noqa: E402
import torch  # noqa: E402
from checks import apply_sync  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

LEVEL = 0.6
NATIVE = {"wan": "wan_t2v", "ltx": "ltxv"}


def one_step(model: Any, said: dict[str, torch.Tensor]) -> torch.Tensor:
    """The host's own Euler step from the level to 0, in the model's scale of latents."""
    known = said["known"][:, None, :, None, None]
    latent = model.model.process_latent_out(said["clean"])
    text = said["text"]
    prompt = [
        [text, {"attention_mask": torch.ones(text.shape[:2], dtype=torch.long)}]
    ]  # LTXV wants one, as T5 gives it
    out = comfy.sample.sample(
        model, said["noise"], 1, 1.0, "euler", "normal", prompt, prompt, latent,
        sigmas=torch.tensor([LEVEL, 0.0]), noise_mask=(1 - known).expand_as(said["clean"][:, :1]), seed=0,
        disable_pbar=True)  # fmt: skip
    return model.model.process_latent_in(out)


def measured(folder: Path, family: str) -> dict[str, Any]:
    said, name = load_file(folder / "said.safetensors"), NATIVE[family]
    folder_paths.folder_names_and_paths["fourreal"] = ([str(folder / "run" / "finetune4d")], {".safetensors"})
    model = families.build(name, torch.float32)
    with_others = "nothing was refused"
    try:
        apply_sync(model, variant="auto", sync_weights="sync.safetensors")
    except ValueError as error:
        with_others = str(error)
    model.model.diffusion_model.load_state_dict(load_file(folder / "native.safetensors"), strict=True)
    synced = apply_sync(model, variant="auto", sync_weights="sync.safetensors")
    guess = one_step(synced, said)
    unknown = (said["known"] == 0)[:, None, :, None, None].expand_as(guess)
    return {
        "same words": float((guess - said["guess"])[unknown].abs().max()),
        "without sync": float((guess - said["without"])[unknown].abs().max()),
        "other base": with_others,
        "known cells": float((guess - said["clean"])[~unknown].abs().max()),
    }


def main() -> None:
    """Measures the family whose folder the environment names."""
    logging.disable(logging.WARNING)
    torch.backends.mkldnn.enabled = False
    folder = Path(os.environ["FOURREAL_TRAINED"])
    family = folder.name.rstrip("0123456789")
    try:
        with torch.inference_mode():
            line = {"name": family, "measured": measured(folder, family)}
    except Exception:  # noqa: BLE001 - the test shows it
        line = {"name": family, "failed": traceback.format_exc()[-3000:]}
    print("PROBE " + json.dumps(line), flush=True)


main()
