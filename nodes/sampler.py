"""A grid completed by a video model, in one node."""

from __future__ import annotations

from typing import Any

import comfy.sample
import latent_preview
from comfy_api.latest import io

from ..fourreal_core.grid import FrameGrid
from .compat import schema
from .decode_latent import decoded
from .freeze_time_conditioning import prepare, prompt_inputs, proposal_input
from .grid_sampling import SamplerSettings, check_start, level_input, sample, sampler_inputs, told_start
from .parallel_sync import AUTO, SyncSettings, strength_input, sync_inputs, synchronized
from .proposal_guidance import guidance_input, guided
from .starting_level import say
from .sync_files import NONE
from .wires import GridWire


class ParallelSyncSampler(io.ComfyNode):
    """Apply Parallel Sync, Freeze-Time Conditioning, KSampler and Decode 4D Latent as one."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """See ComfyNode."""
        return schema(
            node_id="FourRealParallelSyncSampler",
            display_name="Parallel-Sync 4D Sampler",
            branch="model",
            search_aliases=[
                "4real",
                "4d video",
                "multi view",
                "ksampler",
                "bullet time",
                "multi view sampler",
                "complete grid",
                "video to multi view",
            ],
            description="Completes a frame grid with a video model in two synchronized streams. The same as "
            "'Apply Parallel Sync', 'Freeze-Time Conditioning', 'KSampler' and 'Decode 4D Latent' wired "
            "together.",
            inputs=[
                io.Model.Input(
                    "model",
                    tooltip="A native video model or a 4Real model; a patch by 'Apply Parallel Sync' is replaced.",
                ),
                io.Vae.Input("vae", tooltip="The model's VAE."),
                GridWire.Input("grid", tooltip="The grid with its known cells."),
                *prompt_inputs(),
                *sampler_inputs(),
                *sync_inputs(),
                proposal_input(),
                strength_input(),
                level_input(),
                guidance_input(),
            ],
            outputs=[
                GridWire.Output(display_name="grid"),
                io.Latent.Output(display_name="latent"),
                io.String.Output(display_name="start", tooltip="Where sampling started, and what that left."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        vae: Any,
        grid: FrameGrid,
        positive: Any = None,
        negative: Any = None,
        seed: int = 0,
        steps: int = 30,
        cfg: float = 5.0,
        sampler_name: str = "euler",
        scheduler: str = "simple",
        denoise: float = 1.0,
        variant: str = AUTO,
        sync_weights: str = NONE,
        first_layer: int = 0,
        last_layer: int = -1,
        highest_noise: float = 1.0,
        lowest_noise: float = 0.0,
        proposal: Any = None,
        strength: float = 1.0,
        start_noise: float = 0.0,
        guide_until: float = 1.0,
    ) -> io.NodeOutput:
        """See ComfyNode."""
        from .host_models.registry import host_model

        model = synchronized(
            model, SyncSettings(variant, sync_weights, first_layer, last_layer, highest_noise, lowest_noise, strength)
        )
        settings = SamplerSettings(seed, steps, cfg, sampler_name, scheduler, denoise, start_noise)
        family = host_model(model)
        check_start(settings, family, proposal)
        start = told_start(model, settings, proposal is not None or bool(family.proposals))
        say(start, cls.hidden.unique_id if cls.hidden else None)
        made = prepare(model, vae, grid, positive, negative, proposal)
        model = guided(model, proposal, made.latent["samples"], guide_until)
        noise = comfy.sample.prepare_noise(made.latent["samples"], seed)
        samples = sample(model, made, noise, settings, latent_preview.prepare_callback(model, steps))
        latent = {**made.latent, "samples": samples}
        return io.NodeOutput(decoded(latent, vae, grid), latent, start)
