"""How much each sync layer changes while a grid is sampled."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import comfy.sample
import latent_preview
from comfy_api.latest import io

from ..fourreal_core.errors import InputError
from .compat import schema


class SyncStrength(io.ComfyNode):
    """The paper's measurement, layer by layer, as a plot."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """See ComfyNode."""
        return schema(
            node_id="FourRealSyncStrength",
            display_name="Sync Strength",
            branch="model",
            search_aliases=["4real", "plot", "layers", "analysis", "layer analysis", "plot layers"],
            description="Samples a grid in a few steps and plots how strongly the sync after each layer changes the "
            "tokens of either stream: |x' - y| / |y|, averaged over the steps. Layers that do little can "
            "be left out in 'Apply Parallel Sync'.",
            inputs=[
                io.Model.Input("model", tooltip="A model behind 'Apply Parallel Sync'."),
                io.Conditioning.Input("positive", tooltip="From 'Freeze-Time Conditioning'."),
                io.Latent.Input("latent", tooltip="From 'Freeze-Time Conditioning'."),
                io.Int.Input("steps", default=8, min=1, max=1000, tooltip="Sampling steps to measure in."),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=2**64 - 1,
                    control_after_generate=False,
                    tooltip="Start of the random numbers.",
                ),
            ],
            outputs=[io.Image.Output(display_name="plot")],
        )

    @classmethod
    def execute(cls, model: Any, positive: Any, latent: dict[str, Any], steps: int, seed: int) -> io.NodeOutput:
        """See ComfyNode."""
        from ..fourreal_core.media.line_plot import line_plot, require_matplotlib
        from ..fourreal_core.model.sync_strength import SyncRecorder
        from .host_models.patch import patched, streams_of

        streams = streams_of(model)
        if streams is None or streams.alternate:
            raise InputError(
                "a model without sync layers",
                "one that runs two streams",
                "put 'Apply Parallel Sync' before 'Sync Strength'",
            )
        require_matplotlib()  # before the sampling, which takes long
        recorder = SyncRecorder(streams.mixing, len(streams.family.layers()))
        measured = patched(model, replace(streams, rule=recorder, strength=1.0))
        start = latent["samples"]
        comfy.sample.sample(
            measured,
            comfy.sample.prepare_noise(start, seed),
            steps,
            1.0,
            "euler",
            "simple",
            positive,
            positive,
            start,
            noise_mask=latent.get("noise_mask"),
            seed=seed,
            callback=latent_preview.prepare_callback(measured, steps),
            disable_pbar=True,
        )
        view, time = recorder.by_layer().tolist()
        layers = range(len(view))
        title = f"sync strength of {streams.family.name}, {streams.sync.spec.variant}"
        curves = {"view stream": (layers, view), "time stream": (layers, time)}
        return io.NodeOutput(line_plot(curves, "layer", "|x' - y| / |y|", title)[None])
