"""A 4D model from a file."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..fourreal_core.errors import InputError
from .compat import advanced, block, schema
from .devices import plain_tensors
from .model_files import SMALL, list_models, model_path

PRECISIONS = ("auto", "float32", "bfloat16", "float16")


class LoadModel(io.ComfyNode):
    """MODEL and VAE of one checkpoint."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """See ComfyNode."""
        return schema(
            node_id="FourRealLoadModel",
            display_name="Load 4Real Model",
            branch="model",
            search_aliases=[
                "4real",
                "4d video",
                "load checkpoint",
                "multi view",
                "unet loader",
                "load video model",
                "multi view model",
            ],
            description="Loads a 4D video model of this extension. The MODEL runs a whole grid in the way that it was "
            "trained in, its own sync layers included; 'Apply Parallel Sync' changes that and is not "
            "needed otherwise. It works with 'Freeze-Time Conditioning', the usual samplers, guiders, "
            "'ModelSamplingSD3' and LoRA loaders. The VAE moves pixels into channels and loses nothing.",
            inputs=[
                io.Combo.Input(
                    "model_name",
                    options=list_models(),
                    default=SMALL,
                    tooltip="A model in models/fourreal "
                    "or models/diffusion_models, or one that came with this extension.",
                ),
                advanced(
                    io.Combo.Input(
                        "precision",
                        options=list(PRECISIONS),
                        default=PRECISIONS[0],
                        optional=True,
                        tooltip="Type of weights and computation; auto: float32 weights, and bfloat16 "
                        "computation where the device is fast at it.",
                    )
                ),
            ],
            outputs=[io.Model.Output(display_name="model"), io.Vae.Output(display_name="vae")],
        )

    @classmethod
    def validate_inputs(cls, model_name: str) -> bool | str:
        """Accepts files that appeared after the list was made."""
        try:
            model_path(model_name)
        except InputError as err:
            return str(err)
        return True

    @classmethod
    def fingerprint_inputs(cls, model_name: str, precision: str = PRECISIONS[0]) -> str:
        """Changes when the file does."""
        found = model_path(model_name).stat()
        return f"{model_name}:{precision}:{found.st_mtime_ns}:{found.st_size}"

    @classmethod
    def execute(cls, model_name: str, precision: str = PRECISIONS[0]) -> io.NodeOutput:
        """See ComfyNode."""
        from ..fourreal_core.model.model_file import load_model
        from .host_models.own_model import as_host_model

        with plain_tensors():
            model = load_model(model_path(model_name))
            return io.NodeOutput(as_host_model(model, precision), _vae(model))


def _vae(model: Any) -> Any:
    from ..fourreal_core.model.codec import SpaceToDepth
    from .codec_vae import CodecVae

    dit = model.spec.dit
    if dit.channels != 3:
        return block(f"this model works on latents of {dit.channels} channels: load their VAE with 'Load VAE'")
    return CodecVae(SpaceToDepth(dit.subpixel))
