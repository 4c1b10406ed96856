"""Run by the host's interpreter: measures each family and prints one line of JSON for it."""

from __future__ import annotations

import host_process

host_process.enter_host()

import json  # noqa: E402 - the host reads its arguments before anything else
import logging  # noqa: E402
import threading  # noqa: E402
import traceback  # noqa: E402

import families  # noqa: E402
import torch  # noqa: E402
from grids import SIDES, apart, grid_videos, largest_difference, sampled, streams  # noqa: E402


def measured(name: str) -> dict[str, float]:
    """Differences between two streams that do not mix and separate videos."""
    videos, found = grid_videos(name), {}
    model = families.build(name)
    for sampler in ("ksampler", "custom_advanced"):
        for side, joined in SIDES.items():
            together = sampled(name, streams(model, joined=joined), videos, sampler=sampler)
            found[f"{sampler} {side}"] = largest_difference(together, apart(name, model, videos, side, sampler=sampler))
    together = sampled(name, streams(model, joined=SIDES["time"]), videos, tokens=(6, 7))
    found["prompts of two lengths"] = largest_difference(together, apart(name, model, videos, "time", tokens=(6, 7)))
    single = families.build(name, torch.float32)
    for side, joined in SIDES.items():
        together = sampled(name, streams(single, joined=joined), videos, sampler="one_call")
        found[f"float32 {side}"] = largest_difference(together, apart(name, single, videos, side, sampler="one_call"))
    mixed, unmixed = (sampled(name, streams(model, variant), videos, "one_call") for variant in ("soft", "identity"))
    found["soft sync changes"] = largest_difference(mixed, unmixed)
    found["streams differ"] = largest_difference(
        *(sampled(name, streams(model, joined=joined), videos, "one_call") for joined in SIDES.values())
    )
    found["known cells"] = float(((together - videos.latent) * (1 - videos.mask)).abs().max())
    found["threads"] = sum(t.name.startswith("4Real") for t in threading.enumerate())
    return found


def main() -> None:
    """Measures every family that this host has."""
    logging.disable(logging.WARNING)
    torch.backends.mkldnn.enabled = False  # its float32 convolution, which Wan asks for, rounds by batch size
    for name in families.FAMILIES:
        if not families.exists(name):
            print("PROBE " + json.dumps({"name": name, "absent": True}), flush=True)
            continue
        try:
            with torch.inference_mode():
                line = {"name": name, "measured": measured(name)}
        except Exception:  # noqa: BLE001 - the test shows it
            line = {"name": name, "failed": traceback.format_exc()[-2000:]}
        print("PROBE " + json.dumps(line), flush=True)


main()
