"""Run by the host's interpreter: this extension's own 4D models as MODELs of the host.

Every function ``check_...`` is one check; the test file finds them by name.
"""

from __future__ import annotations

import host_process

host_process.enter_host()

import importlib.util  # noqa: E402
import os  # noqa: E402 - the host reads its arguments before anything else
from typing import Any  # noqa: E402

import comfy.lora  # noqa: E402
import comfy.model_management  # noqa: E402
import comfy.sample  # noqa: E402
import comfy.samplers  # noqa: E402
import comfy.sd  # noqa: E402
import comfy.utils  # noqa: E402
import torch  # noqa: E402
from checks import apply_sync, grid, node, outputs, refused, run_checks  # noqa: E402
from own_models import SEED, STEPS, by_core, conditioned, core, loaded, random_model, saved  # noqa: E402

import nodes  # noqa: E402

SETTINGS = {"seed": SEED, "steps": STEPS, "cfg": 1.0, "sampler_name": "euler", "scheduler": "simple"}
ROUNDING = 2e-5
"""The host's Euler step goes by way of the clean latents and divides by sigma, and has its sigmas in float32: a few
roundings a step (1e-7 of values up to 4), grown by the random model at each step; another noise gives above 0.1."""

BATCHED = 5e-4
"""The host runs both prompts as one batch, whose sums are taken in another order, and guidance multiplies the rest."""


def sampled(model: Any, made: tuple[Any, Any, dict[str, torch.Tensor]], **changes: Any) -> torch.Tensor:
    positive, negative, latent = made
    return nodes.KSampler().sample(
        model, positive=positive, negative=negative, latent_image=latent, **{"denoise": 1.0} | SETTINGS | changes
    )[0]["samples"]


def noise_of(made: tuple[Any, Any, dict[str, torch.Tensor]]) -> torch.Tensor:
    return comfy.sample.prepare_noise(made[2]["samples"], SEED)


def apart(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max())


def check_ksampler_is_the_cores_completion() -> None:
    for variant, dit in (
        ("soft_trained", {}),
        ("hard_trained", {"subpixel": 2}),
        ("fused", {"prediction": "velocity"}),
        ("sequential_cross_time", {}),
        ("soft", {"subpixel": 4, "head": "conv"}),
    ):
        own, given = random_model(variant, **dit), grid()
        model, vae = loaded(own)
        made = conditioned(model, vae, given)
        assert made[2]["samples"].shape[1] == 3 * own.spec.dit.subpixel**2
        out = sampled(model, made)
        expected = by_core(own, given, noise_of(made))
        assert apart(out, expected) < ROUNDING, (variant, apart(out, expected))
        known = given.known[:, None, :, None, None].expand_as(out)
        assert torch.equal(out[known], expected[known])
        assert apart(out, by_core(own, given, noise_of(made) + 1)) > 0.1
        guided = sampled(model, made, cfg=3.0)  # without text both sides are the same
        assert apart(guided, expected) < BATCHED
        (frames,) = outputs(node("decode_latent", "Decode4DLatent").execute({"samples": out}, vae, given))
        assert torch.equal(frames.frames[given.known], given.frames[given.known])


def check_other_samplers_and_guiders() -> None:
    from comfy_extras import nodes_custom_sampler

    own, given = random_model(), grid()
    model, vae = loaded(own)
    made = conditioned(model, vae, given)
    for name in ("heun", "dpmpp_2m", "euler_ancestral", "uni_pc"):
        assert sampled(model, made, sampler_name=name).isfinite().all()

    class Given:
        seed = SEED

        def generate_noise(self, latent: Any) -> torch.Tensor:
            return noise_of(made)

    guider, basic = comfy.samplers.CFGGuider(model), nodes_custom_sampler.Guider_Basic(model)
    guider.set_conds(made[0], made[1])
    basic.set_conds(made[0])
    both = nodes_custom_sampler.Guider_DualCFG(model)
    both.set_conds(made[0], made[0], made[1])
    both.set_cfg(3.0, 2.0)
    sigmas = comfy.samplers.calculate_sigmas(model.get_model_object("model_sampling"), "simple", STEPS)
    advanced = nodes_custom_sampler.SamplerCustomAdvanced
    run, plain = getattr(advanced, "execute", None) or advanced().sample, sampled(model, made)
    for each, rounding in ((guider, 0.0), (basic, 0.0), (both, BATCHED)):  # without text all prompts are the same
        out = run(Given(), each, comfy.samplers.sampler_object("euler"), sigmas, made[2])
        assert apart(getattr(out, "args", out)[0]["samples"], plain) <= rounding, type(each).__name__


def check_nodes_that_shift_the_schedule() -> None:
    from comfy_extras import nodes_model_advanced

    own, given = random_model(), grid()
    model, vae = loaded(own)
    made = conditioned(model, vae, given)
    expected = by_core(own, given, noise_of(made), shift=3.0)
    for name in ("ModelSamplingSD3", "ModelSamplingAuraFlow"):  # these give time steps two different scales
        (shifted,) = getattr(nodes_model_advanced, name)().patch(model, 3.0)[:1]
        assert apart(sampled(shifted, made), expected) < ROUNDING, name
    assert apart(sampled(model, made), expected) > 1e-3
    (other,) = nodes_model_advanced.ModelSamplingDiscrete().patch(model, "eps", False)[:1]
    with refused("flow matching", "'ModelSamplingDiscrete'"):
        sampled(other, made)


def check_proposals() -> None:
    given, guess = grid(), torch.rand(12, 32, 32, 3, generator=torch.Generator().manual_seed(3))
    shown = core("proposals.model_inputs").model_inputs
    for count in (0, 1, 2, 3):
        own = random_model(proposals=count)
        model, vae = loaded(own)
        for proposal in (None, guess):
            made = conditioned(model, vae, given, proposal=proposal)
            frames = None if proposal is None else proposal.view(given.frames.shape)
            seen = shown(given.frames, given.known, own.spec.dit.proposals, frames)
            assert (seen is None) == (count == 0) and (seen is None or len(seen) == count)
            out = sampled(model, made)
            assert apart(out, by_core(own, given, noise_of(made), seen)) < ROUNDING
            if proposal is not None:
                start = given.filled(frames).frames[None] if seen is None else seen
                if count:
                    assert apart(out, by_core(own, given, noise_of(made), 1 - seen)) > 1e-3
                low = sampled(model, made, denoise=0.5)
                # the host takes the last of a longer schedule: 4 of 8 steps, from level 0.5
                assert apart(low, by_core(own, given, noise_of(made), start, start=0.5)) < ROUNDING


def check_the_loaded_file_decides() -> None:
    load = node("load_model", "LoadModel")
    with saved(one=random_model(seed=1), two=random_model("fused", seed=2)) as folder:
        files = host_process.part("nodes.model_files")
        sync = core("model.sync_file")
        base = random_model(seed=1)
        sync.save_sync(os.path.join(folder, "sync.safetensors"), base.sync, base.base_fingerprint())
        assert files.list_models() == [files.SMALL, "one.safetensors", "two.safetensors"]
        assert load.validate_inputs("one.safetensors") is True
        assert "no model 'gone.safetensors'" in load.validate_inputs("gone.safetensors")
        made = [outputs(load.execute(name))[0] for name in ("one.safetensors", "two.safetensors")]
        specs = [model.model.diffusion_model.grid_model.spec.variant for model in made]
        assert specs == ["soft_trained", "fused"]
        assert load.fingerprint_inputs("one.safetensors") != load.fingerprint_inputs("two.safetensors")
        with refused("is of the kind fourreal-sync"):
            load.execute("sync.safetensors")
    own = host_process.part("nodes.host_models.own_model")
    assert tuple(own.PRECISIONS) == host_process.part("nodes.load_model").PRECISIONS


def check_sync_can_be_changed() -> None:
    own, given = random_model(), grid()
    model, vae = loaded(own)
    made = conditioned(model, vae, given)
    plain = sampled(model, made)
    assert torch.equal(sampled(apply_sync(model, variant="auto"), made), plain)
    for variant in ("soft", "hard"):
        out = sampled(apply_sync(model, variant=variant), made)
        assert apart(out, by_core(own.with_variant(variant), given, noise_of(made))) < ROUNDING
        assert apart(out, plain) > 1e-4
    unmixed = by_core(own.with_variant("identity"), given, noise_of(made))
    assert apart(sampled(apply_sync(model, variant="auto", highest_noise=0.0), made), unmixed) < ROUNDING
    ranged = sampled(apply_sync(model, variant="auto", first_layer=1), made)
    assert min(apart(ranged, plain), apart(ranged, unmixed)) > 1e-4
    assert torch.equal(sampled(model, made), plain)  # the patches were the clones' alone
    again = apply_sync(apply_sync(model, variant="hard"), variant="auto")
    assert torch.equal(sampled(again, made), plain)
    if importlib.util.find_spec("matplotlib") is not None:  # ComfyUI itself doesn't need it
        strength = node("sync_strength", "SyncStrength")
        (plot,) = outputs(strength.execute(apply_sync(model, variant="auto"), made[0], made[2], 2, 0))
        assert plot.std() > 0.05


def check_sync_weights_of_a_file() -> None:
    own, other, given = random_model(), random_model("hard_trained", seed=9), grid()
    sync = core("model.sync_file")
    with saved(tiny=own) as folder:
        sync.save_sync(os.path.join(folder, "hard.safetensors"), other.sync, own.base_fingerprint())
        sync.save_sync(os.path.join(folder, "foreign.safetensors"), other.sync, other.base_fingerprint())
        model, vae = outputs(node("load_model", "LoadModel").execute("tiny.safetensors"))
        made = conditioned(model, vae, given)
        changed = apply_sync(model, variant="auto", sync_weights="hard.safetensors")
        expected = by_core(own.with_variant("hard_trained", sync=other.sync), given, noise_of(made))
        assert apart(sampled(changed, made), expected) < ROUNDING
        with refused("trained on a base model"):
            apply_sync(model, variant="auto", sync_weights="foreign.safetensors")


def check_models_of_one_stream_run_two_if_asked() -> None:
    own, given = random_model("fused"), grid()
    model, vae = loaded(own)
    made = conditioned(model, vae, given)
    plain = sampled(model, made)
    soft = apply_sync(model, variant="soft")
    assert apart(sampled(soft, made), by_core(own.with_variant("soft"), given, noise_of(made))) < ROUNDING
    assert torch.equal(sampled(apply_sync(soft, variant="auto"), made), plain)
    assert apart(sampled(soft, made), plain) > 1e-4


def check_one_node_is_the_wired_graph() -> None:
    model, vae = loaded(random_model(subpixel=2))
    given = grid()
    guess = torch.rand(12, 32, 32, 3, generator=torch.Generator().manual_seed(3))
    for denoise, proposal in ((1.0, None), (0.6, guess)):
        made = conditioned(model, vae, given, proposal=proposal)
        latent = sampled(model, made, denoise=denoise)
        (wired,) = outputs(node("decode_latent", "Decode4DLatent").execute({"samples": latent}, vae, given))
        one, one_latent, _ = outputs(
            node("sampler", "ParallelSyncSampler").execute(
                model, vae, given, denoise=denoise, proposal=proposal, **SETTINGS
            )
        )
        assert torch.equal(one_latent["samples"], latent) and torch.equal(one.frames, wired.frames)
        assert not one.frames.is_inference()


def check_loras_load_by_key() -> None:
    own, given = random_model(), grid()
    model, vae = loaded(own)
    made = conditioned(model, vae, given)
    generator = torch.Generator().manual_seed(2)
    name, weight = "dit.blocks.1.attention.qkv", own.dit.blocks[1].attention.qkv.weight
    up, down = (torch.randn(shape, generator=generator) for shape in ((weight.shape[0], 2), (2, weight.shape[1])))
    lora = {
        f"diffusion_model.{name}.lora_up.weight": up,
        f"diffusion_model.{name}.lora_down.weight": down,
        f"diffusion_model.{name}.alpha": torch.tensor(2.0),
    }
    patched, _ = comfy.sd.load_lora_for_models(model, None, lora, 0.5, 0.0)
    assert list(patched.patches) == [f"diffusion_model.{name}.weight"]
    before = sampled(model, made)
    with torch.inference_mode(False), torch.no_grad():
        weight.add_(0.5 * up @ down)  # at a strength of a half and alpha / rank = 1
    # the host multiplies in another order: one rounding of the weights
    assert apart(sampled(patched, made), by_core(own, given, noise_of(made))) < 10 * ROUNDING
    assert torch.equal(sampled(model, made), before) and apart(sampled(patched, made), before) > 1e-3


def check_every_weight_has_its_name_in_the_checkpoint() -> None:
    own = random_model("sequential_cross_time")
    model, _ = loaded(own)
    names = {
        name.removeprefix("diffusion_model.")
        for name in model.model.state_dict()
        if name.startswith("diffusion_model.")
    }
    assert names == set(own.state_dict())
    keys = comfy.lora.model_lora_keys_unet(model.model, {})
    assert keys["lora_unet_time_attention_0_qkv"] == "diffusion_model.time_attention.0.qkv.weight"


def check_loading_in_part_and_offloading() -> None:
    own, given = random_model(), grid()
    model, vae = loaded(own)
    made = conditioned(model, vae, given)
    whole = sampled(model, made)
    comfy.model_management.unload_all_models()
    model.patch_model(model.load_device, lowvram_model_memory=model.model_size() // 2)
    left_behind = [m for m in model.model.modules() if hasattr(m, "prev_comfy_cast_weights")]
    assert left_behind and model.model.model_lowvram
    x, level = noise_of(made), torch.full((3,), 1.0)
    call = {"denoise_mask": made[2]["noise_mask"].expand_as(x), "transformer_options": {"cond_or_uncond": [0]}}
    partly = model.model.diffusion_model(x, level, **call)
    model.unpatch_model(model.offload_device)
    assert torch.equal(partly, model.model.diffusion_model(x, level, **call))
    assert torch.equal(sampled(model, made), whole)


def check_precisions() -> None:
    given, made, results = grid(), None, {}
    for precision, dtype in (
        ("auto", torch.float32),
        ("float32", torch.float32),
        ("bfloat16", torch.bfloat16),
        ("float16", torch.float16),
    ):
        model, vae = loaded(random_model(), precision)
        assert model.model.get_dtype() == model.model.diffusion_model.dit.final.weight.dtype == dtype
        made = conditioned(model, vae, given)
        results[precision] = sampled(model, made)
        assert results[precision].dtype == torch.float32 and results[precision].isfinite().all()
        known = given.known[:, None, :, None, None].expand_as(results[precision])
        assert torch.equal(results[precision][known], made[2]["samples"][known])  # never rounded
        apply = sampled(apply_sync(model, variant="auto"), made)
        assert torch.equal(apply, results[precision])
    assert torch.equal(results["auto"], results["float32"])  # on a CPU
    spread = results["float32"].std()
    # eight and eleven bits of mantissa, over four steps
    assert 0 < apart(results["bfloat16"], results["float32"]) < 0.5 * spread
    assert 0 < apart(results["float16"], results["float32"]) < 0.1 * spread


def check_native_vae_nodes_take_the_codec() -> None:
    for factor in (1, 2, 4):
        _, vae = loaded(random_model(subpixel=factor))
        bytes8 = torch.randint(0, 256, (5, 32, 48, 3), generator=torch.Generator().manual_seed(4))
        pictures = bytes8.float() / 255
        (latent,) = nodes.VAEEncode().encode(vae, pictures)
        assert latent["samples"].shape == (1, 3 * factor**2, 5, 32 // factor, 48 // factor)
        for decode, settings in ((nodes.VAEDecode().decode, {}), (nodes.VAEDecodeTiled().decode, {"tile_size": 64})):
            (images,) = decode(vae, latent, **settings)
            assert images.shape == pictures.shape and torch.equal((images * 255).round().long(), bytes8)
        (tiled,) = nodes.VAEEncodeTiled().encode(vae, pictures, 64, 16)
        assert torch.equal(tiled["samples"], latent["samples"])
        flat = vae.decode(latent["samples"][:, :, 0])
        assert flat.shape == (1, 32, 48, 3)
        odd = vae.encode(torch.rand(1, 35, 50, 4))
        assert odd.shape[-2:] == (35 // factor, 50 // factor)


def check_bad_input_is_refused() -> None:
    model, vae = loaded(random_model())
    given = grid()
    made = conditioned(model, vae, given)
    bare = (made[0], made[1], {"samples": made[2]["samples"]})
    with refused("does not hold the grid's known cells", "'Freeze-Time Conditioning'"):
        sampled(model, bare)
    nothing = [[torch.zeros(1, 1, 1), {}]]
    with refused("without a noise mask", "'Freeze-Time Conditioning'"):
        sampled(model, (nothing, nothing, bare[2]))
    with refused("at least 2 views and 2 times"):
        sampled(model, (nothing, nothing, {"samples": made[2]["samples"][:1]}))
    with refused("a VAE that makes latents", "load the VAE that belongs to the model"):
        conditioned(model, loaded(random_model(subpixel=2))[1], given)
    with refused("frames of 36 x 36 pixels for 4Real", "multiples of 8 x 8"):
        conditioned(model, vae, grid(size=36))
    with refused("a precision 'int4'"):
        host_process.part("nodes.host_models.own_model").as_host_model(random_model(), "int4")


def check_models_with_text_want_prompts() -> None:
    own, given = random_model(text_width=6), grid()
    model, vae = loaded(own)
    with refused("no positive and negative prompt", "'CLIP Text Encode'"):
        conditioned(model, vae, given)
    texts = [[[torch.randn(1, 5, 6, generator=torch.Generator().manual_seed(seed)), {}]] for seed in (1, 2)]
    made = conditioned(model, vae, given, positive=texts[0], negative=texts[1])
    other = conditioned(model, vae, given, positive=texts[1], negative=texts[1])
    out = sampled(model, made, cfg=2.0)
    assert apart(out, sampled(model, other, cfg=2.0)) > 1e-4
    complete, flows, held = core("sampling.complete"), core("sampling.rectified_flow"), core("sampling.known_cells")
    known = held.KnownCells(given.known[None], core("model.codec").SpaceToDepth(1).encode(given.frames)[None])
    with_text, without = (
        complete.model_velocity(own, known.mask, complete.Condition4D(text=text[0][0])) for text in texts
    )

    def guided(latents: torch.Tensor, level: torch.Tensor) -> torch.Tensor:  # classifier-free, at 2
        plain = without(latents, level)
        return plain + 2.0 * (with_text(latents, level) - plain)

    levels = flows.schedule(flows.SamplingOptions(steps=STEPS))
    expected = flows.integrate(guided, noise_of(made).transpose(1, 2)[None], levels, known)
    assert apart(out, expected[0].transpose(1, 2)) < BATCHED


def check_previews_are_walls_of_pixels() -> None:
    import latent_preview

    latent_preview.args.preview_method = latent_preview.LatentPreviewMethod.Auto
    latent_preview.default_preview_method = latent_preview.args.preview_method
    model, vae = loaded(random_model(subpixel=2))
    made = conditioned(model, vae, grid())
    shown: list[Any] = []
    comfy.utils.set_progress_bar_global_hook(
        lambda value, total, picture, **rest: shown.append(picture[1]) if picture else None
    )
    sampled(model, made)
    comfy.utils.set_progress_bar_global_hook(None)
    assert [picture.size for picture in shown] == [(16, 16), (4 * 16, 3 * 16)] * STEPS
    corner = torch.tensor(list(shown[-1].crop((0, 0, 16, 16)).getdata())).float() / 255
    frame = torch.nn.functional.avg_pool2d(grid().frames[0, 0].movedim(-1, 0), 2)
    assert (corner.view(16, 16, 3).movedim(-1, 0) - frame).abs().max() < 0.02  # eight bits, rounded twice


def check_cancelling_ends_the_step() -> None:
    for variant in ("soft_trained", "fused"):
        model, vae = loaded(random_model(variant))
        made = conditioned(model, vae, grid())
        calls: list[int] = []

        def cancel(module: Any, args: Any, calls: list[int] = calls) -> None:
            calls.append(1)
            comfy.model_management.interrupt_current_processing()

        handle = model.model.diffusion_model.dit.blocks[0].register_forward_pre_hook(cancel)
        try:
            sampled(model, made)
        except comfy.model_management.InterruptProcessingException:
            assert len(calls) == 1
        else:
            raise AssertionError("the cancel was lost")
        finally:
            handle.remove()
            comfy.model_management.interrupt_current_processing(False)
        assert model.model.diffusion_model.grid_model.sync_rule is None
        assert sampled(model, made).isfinite().all()


run_checks(dict(globals()))
