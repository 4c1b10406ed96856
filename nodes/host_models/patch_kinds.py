"""Every way in which the host lets a node patch a MODEL, and whether a grid of two streams goes with it.

A native model runs once a stream: what the host calls around or inside the network sees the rows in one call and the
columns in the other, never the grid. A 4Real model runs once: what is called around the network sees the whole grid.
What isn't listed here is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

ALLOWED, ADAPTED, REFUSED = "allowed", "adapted", "refused"

WRAPPER, CALLBACK, SAMPLER, INSIDE, REPLACED, OPTION, OBJECT, INJECTION, HOOK, WEIGHTS = (
    "wrapper",
    "callback",
    "sampling option",
    "patch inside the network",
    "replaced part",
    "network option",
    "replaced object",
    "injection",
    "conditioning hook",
    "weights",
)
"""The places where the host keeps patches: ``WrappersMP``, ``CallbacksMP``, ``model_options``, ``patches``,
``patches_replace``, ``transformer_options``, ``object_patches``, ``injections``, ``EnumHookType``, weight patches."""

LAZY = "use 'LazyCache', which caches whole predictions, or remove it"
REMOVE = "remove the node that adds it"
EXTEND = "remove it and use 'Extend 4D Grid', which makes long and wide grids chunk after chunk"


@dataclass(frozen=True)
class Kind:
    """What happens to one kind of patch.

    Attributes:
        native: For a native model in two streams.
        own: For a 4Real model.
        why: The reason, and what adapting means.
        remedy: What to do where it is refused.
    """

    native: str
    own: str
    why: str
    remedy: str = REMOVE


UNKNOWN = Kind(REFUSED, REFUSED, "unknown: it might see one stream and take it for the grid")

_GRID = Kind(ALLOWED, ALLOWED, "sees the whole grid; a part of one is noticed in the model call and refused")
_AROUND = Kind(ALLOWED, ALLOWED, "sees no tokens")
_TOKENS = Kind(REFUSED, REFUSED, "would see one stream's tokens as a video; a 4Real model has no such place")
_GPUS = Kind(REFUSED, REFUSED, "the streams exchange tokens within one device", "remove 'MultiGPU Work Units'")

KINDS: Mapping[tuple[str, str], Kind] = {
    (WRAPPER, "outer_sample"): _GRID,
    (WRAPPER, "prepare_sampling"): _GRID,
    (WRAPPER, "sampler_sample"): _GRID,
    (WRAPPER, "predict_noise"): Kind(ALLOWED, ALLOWED, "sees the whole grid; LazyCache, CFGOverride"),
    (WRAPPER, "calc_cond_batch"): _GRID,
    (WRAPPER, "apply_model"): Kind(ADAPTED, ALLOWED, "the streams run inside of it, wherever it was added"),
    (WRAPPER, "diffusion_model"): Kind(
        REFUSED, ALLOWED, "would run once a stream and share what it keeps between them; EasyCache, MultiTalk", LAZY
    ),
    **{
        (CALLBACK, name): _AROUND
        for name in (
            "on_clone",
            "on_load_after",
            "on_detach_after",
            "on_cleanup",
            "on_pre_run",
            "on_prepare_state",
            "on_apply_hooks",
            "on_register_all_hook_patches",
            "on_inject_model",
            "on_eject_model",
        )
    },
    (CALLBACK, "on_deepclone_multigpu"): _AROUND,
    (CALLBACK, "on_match_multigpu_clones"): _AROUND,
    (SAMPLER, "sampler_cfg_function"): _GRID,
    (SAMPLER, "sampler_pre_cfg_function"): _GRID,
    (SAMPLER, "sampler_post_cfg_function"): _GRID,
    (SAMPLER, "sampler_calc_cond_batch_function"): _GRID,
    (SAMPLER, "denoise_mask_function"): _GRID,
    (SAMPLER, "disable_cfg1_optimization"): _AROUND,
    (SAMPLER, "model_function_wrapper"): Kind(
        REFUSED,
        REFUSED,
        "may exchange the network's forward, split the batch or keep a cache; TeaCache, tiled diffusion",
        "use 'LazyCache' for speed, or remove it",
    ),
    (SAMPLER, "context_handler"): Kind(
        REFUSED,
        REFUSED,
        "cuts views or times out of the grid; allowed where one window holds it all",
        EXTEND,
    ),
    (SAMPLER, "multigpu_clones"): _GPUS,
    (SAMPLER, "torch_compile_kwargs"): _AROUND,
    (REPLACED, "dit"): Kind(
        REFUSED,
        REFUSED,
        "would see one stream's tokens; layers that SkipLayerGuidance skips are skipped in both streams, with the sync "
        "after them, where the host's code of the model can",
        "remove 'SkipLayerGuidanceDiT', or the node that replaces the layer",
    ),
    (REPLACED, "attn1"): Kind(
        REFUSED, REFUSED, "these models have no such attention: it would do nothing; PAG, SAG", "remove that guidance"
    ),
    (REPLACED, "attn2"): Kind(
        REFUSED, REFUSED, "these models have no such attention: it would do nothing", "remove that guidance"
    ),
    **{
        (INSIDE, name): _TOKENS
        for name in (
            "attn1_patch",
            "attn2_patch",
            "attn1_output_patch",
            "attn2_output_patch",
            "input_block_patch",
            "input_block_patch_after_skip",
            "output_block_patch",
            "emb_patch",
            "forward_timestep_embed_patch",
            "double_block",
            "post_input",
            "noise_refiner",
            "middle_block_after_patch",
        )
    },
    (OPTION, "optimized_attention_override"): Kind(
        ALLOWED, ALLOWED, "another way to compute the same attention (SageAttention); 4Real models use PyTorch's own"
    ),
    (OPTION, "rope_options"): Kind(
        ADAPTED,
        REFUSED,
        "scale and shift of time hold for the time stream alone; a 4Real model would ignore them",
        "remove 'ScaleROPE'",
    ),
    **{
        (OBJECT, name): _AROUND
        for name in ("model_sampling", "latent_format", "manual_cast_dtype", "memory_usage_factor")
    },
    (OBJECT, "diffusion_model"): Kind(
        REFUSED,
        REFUSED,
        "a part of the network that someone else wrote; TeaCache, Enhance-A-Video, compiled blocks as object patches",
        "remove the node that exchanges it, or use 'LazyCache' for speed",
    ),
    (INJECTION, "bypass_lora"): Kind(ALLOWED, ALLOWED, "a LoRA beside its layer"),
    (HOOK, "weight"): Kind(ALLOWED, ALLOWED, "prompts with other weights run as grids of their own"),
    (HOOK, "object_patch"): _AROUND,
    (HOOK, "add_models"): _AROUND,
    (HOOK, "transformer_options"): Kind(ADAPTED, ADAPTED, "what it adds is judged in each call by the rows above"),
    (HOOK, "add_injections"): UNKNOWN,
    (WEIGHTS, "LoRA, before or after the patch"): _AROUND,
    (WEIGHTS, "weight wrappers"): _AROUND,
    (WEIGHTS, "offloading, block swap"): Kind(ALLOWED, ALLOWED, "weights move, tokens do not"),
}
"""By place and the host's name there."""


def kind_of(place: str, name: str) -> Kind:
    """What happens to a patch of this name; unknown ones are refused."""
    return KINDS.get((place, name), UNKNOWN)
