"""A grid completed by a native video model, in one node."""

from __future__ import annotations

from typing import Any

import comfy.sample
import comfy.samplers
import comfy.utils
import latent_preview
from comfy_api.latest import io

from ..fourreal_core.grid import FrameGrid
from .compat import schema
from .decode_latent import decoded
from .freeze_time_conditioning import prepare, proposal_input
from .parallel_sync import SyncSettings, sync_inputs, synchronized
from .sync_files import NONE
from .wires import GridWire


class ParallelSyncSampler(io.ComfyNode):
    """Apply Parallel Sync, Freeze-Time Conditioning, KSampler and Decode 4D Latent as one."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """See ComfyNode."""
        return schema(
            node_id="FourRealParallelSyncSampler", display_name="Parallel-Sync 4D Sampler",
            search_aliases=["4real", "4d video", "multi view", "ksampler", "bullet time"],
            description="Completes a frame grid with a native video model in two synchronized streams. The same as "
                        "'Apply Parallel Sync', 'Freeze-Time Conditioning', 'KSampler' and 'Decode 4D Latent' wired "
                        "together.",
            inputs=[
                io.Model.Input("model", tooltip="A native video model; a patch by 'Apply Parallel Sync' is replaced."),
                io.Vae.Input("vae", tooltip="The model's VAE."),
                GridWire.Input("grid", tooltip="The grid with its known cells."),
                io.Conditioning.Input("positive", tooltip="One prompt for the whole grid."),
                io.Conditioning.Input("negative", tooltip="One negative prompt for the whole grid."),
                io.Int.Input("seed", default=0, min=0, max=2**64 - 1, control_after_generate=True, tooltip="Start of "
                             "the random numbers; the same seed gives the same grid on one machine."),
                io.Int.Input("steps", default=30, min=1, max=10_000, tooltip="Sampling steps."),
                io.Float.Input("cfg", default=5.0, min=0.0, max=100.0, step=0.1, tooltip="Guidance by the prompts; 1 "
                               "leaves the negative prompt out."),
                io.Combo.Input("sampler_name", options=comfy.samplers.KSampler.SAMPLERS, default="euler",
                               tooltip="The host's sampler."),
                io.Combo.Input("scheduler", options=comfy.samplers.KSampler.SCHEDULERS, default="simple",
                               tooltip="The host's schedule of noise levels."),
                io.Float.Input("denoise", default=1.0, min=0.0, max=1.0, step=0.01, tooltip="Below 1 the unknown cells "
                               "start from the proposal."),
                *sync_inputs(),
                proposal_input(),
            ],
            outputs=[GridWire.Output(display_name="grid"), io.Latent.Output(display_name="latent")],
        )

    @classmethod
    def execute(cls, model: Any, vae: Any, grid: FrameGrid, positive: Any, negative: Any, seed: int, steps: int,
                cfg: float, sampler_name: str, scheduler: str, denoise: float, variant: str, sync_weights: str = NONE,
                first_layer: int = 0, last_layer: int = -1, highest_noise: float = 1.0, lowest_noise: float = 0.0,
                proposal: Any = None) -> io.NodeOutput:
        """See ComfyNode."""
        model = synchronized(model, SyncSettings(variant, sync_weights, first_layer, last_layer, highest_noise,
                                                 lowest_noise))
        made = prepare(model, vae, grid, positive, negative, proposal)
        start = made.latent["samples"]
        samples = comfy.sample.sample(
            model, comfy.sample.prepare_noise(start, seed), steps, cfg, sampler_name, scheduler, made.positive,
            made.negative, start, denoise=denoise, noise_mask=made.latent["noise_mask"], seed=seed,
            callback=latent_preview.prepare_callback(model, steps), disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED)
        latent = {**made.latent, "samples": samples}
        return io.NodeOutput(decoded(latent, vae, grid), latent)
