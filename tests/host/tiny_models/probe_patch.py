"""Run by the host's interpreter: patched native models: what they refuse, how they end, what they leave alone.

Every function ``check_...`` is one check; the test file finds them by name.
"""

from __future__ import annotations

import host_process

host_process.enter_host()

import os  # noqa: E402 - the host reads its arguments before anything else
import tempfile  # noqa: E402
import threading  # noqa: E402
from typing import Any  # noqa: E402

import comfy.model_management  # noqa: E402
import comfy.sample  # noqa: E402
import comfy.samplers  # noqa: E402
import comfy.sd  # noqa: E402
import families  # noqa: E402
import folder_paths  # noqa: E402
import torch  # noqa: E402
from checks import apply_sync, left_over, prepared, refused, run_checks  # noqa: E402
from families import TIMES, VIEWS  # noqa: E402
from grids import (  # noqa: E402
    CFG,
    SIDES,
    custom_advanced,
    grid_videos,
    guided,
    largest_difference,
    one_call,
    sampled,
    streams,
)
from safetensors.torch import save_file  # noqa: E402


def check_cancelling_ends_both_streams() -> None:
    for lane_name in ("MainThread", "4Real second stream"):
        model = families.build("wan_t2v", torch.float32)
        block = model.model.diffusion_model.blocks[1]
        calls = []

        def cancel(module: Any, args: Any, lane_name: str = lane_name, calls: list[str] = calls) -> None:
            calls.append(threading.current_thread().name)
            if threading.current_thread().name == lane_name:
                comfy.model_management.interrupt_current_processing()

        handle = block.register_forward_pre_hook(cancel)
        try:
            sampled("wan_t2v", streams(model, "soft"), grid_videos("wan_t2v"))
        except comfy.model_management.InterruptProcessingException:
            assert len(calls) <= 2  # within the step in which it was pressed
        else:
            raise AssertionError("the cancel was lost")
        finally:
            handle.remove()
            comfy.model_management.interrupt_current_processing(False)
        assert not left_over()
        assert not any(layer._forward_hooks for layer in model.model.diffusion_model.blocks)


def check_an_error_in_either_stream_ends_both() -> None:
    for lane_name in ("MainThread", "4Real second stream"):
        model = families.build("hunyuan_1", torch.float32)
        block = model.model.diffusion_model.single_blocks[0]

        def fail(module: Any, args: Any, lane_name: str = lane_name) -> None:
            if threading.current_thread().name == lane_name:
                raise ZeroDivisionError(lane_name)

        handle = block.register_forward_pre_hook(fail)
        try:
            sampled("hunyuan_1", streams(model, "hard"), grid_videos("hunyuan_1"))
        except ZeroDivisionError as error:
            assert str(error) == lane_name
        else:
            raise AssertionError("the error was lost")
        handle.remove()
        assert not left_over()


def check_models_that_cannot_be_patched_are_named() -> None:
    model = families.build("wan_t2v", torch.float32)

    class SomeUNet(torch.nn.Module):
        pass

    other = model.clone()
    other.add_object_patch("diffusion_model", SomeUNet())
    with refused(
        "a model of class SomeUNet",
        "Wan 2.1 / 2.2",
        "LTX-2",
        "HunyuanVideo 1.0 / 1.5",
        "Cosmos Predict2",
        "CogVideoX",
        "Mochi",
        "Kandinsky 5",
    ):
        apply_sync(other)
    if families.exists("cogvideox"):
        with refused("CogVideoX", "two frames into one token"):
            apply_sync(families.build("cogvideox", torch.float32, patch_size_t=2))


def check_latents_that_are_no_grid_are_refused() -> None:
    model = apply_sync(families.build("wan_t2v", torch.float32))
    text = families.conditioning("wan_t2v", 3)

    def sample(shape: tuple[int, ...], mask: Any = None, positive: Any = text) -> None:
        latent = torch.zeros(shape)
        comfy.sample.sample(
            model, latent, 1, 1.0, "euler", "simple", positive, text, latent, noise_mask=mask, seed=0, disable_pbar=True
        )

    full = (VIEWS, 16, TIMES, 4, 4)
    for shape in ((1, 16, TIMES, 4, 4), (VIEWS, 16, 1, 4, 4)):
        with refused("at least 2 views and 2 times", "'Freeze-Time Conditioning'", "'Rebatch Latents'"):
            sample(shape)
    with refused("all cells are known"):
        sample(full, torch.zeros(VIEWS, 1, TIMES, 4, 4))
    positive, _, latent = prepared("wan_t2v")
    with refused("a grid of 3 views and 4 times, and a latent of 2 and 4"):
        sample((2, 16, TIMES, 4, 4), positive=positive)
    with refused("noise mask"):  # a mask without a view axis would hold the same cells in all views
        sample(full, torch.ones(TIMES, 1, 4, 4), positive=positive)
    with refused("does not hold the grid's known cells"):
        sample(full, positive=positive)
    sample(full, latent["noise_mask"], positive=positive)
    prompts = [[torch.cat([text[0][0]] * 2), text[0][1]]]
    with refused("2 prompts", "'CLIP Text Encode'"):
        sample(full, positive=prompts)


def check_streams_of_unequal_layers_are_refused() -> None:
    plain, videos = families.build("wan_t2v", torch.float32), grid_videos("wan_t2v")
    network, forward = plain.model.diffusion_model, plain.model.diffusion_model.forward_orig

    def without_last_block(*args: Any, **kwargs: Any) -> Any:
        if threading.current_thread() is threading.main_thread():
            return forward(*args, **kwargs)
        blocks, network.blocks = network.blocks, network.blocks[:2]
        try:
            return forward(*args, **kwargs)
        finally:
            network.blocks = blocks

    network.forward_orig = without_last_block
    with refused("different layers", "EasyCache"):
        sampled("wan_t2v", apply_sync(plain), videos)
    del network.forward_orig
    assert len(network.blocks) == 3 and not any(block._forward_hooks for block in network.blocks)


def check_inputs_from_outside_the_grid_are_refused() -> None:
    for name, values, words in (
        ("wan_t2v", {"time_dim_concat": torch.zeros(1, 16, 1, 8, 8)}, ("'WanPhantomSubjectToVideo'",)),
        ("wan_t2v", {"reference_latents": [torch.zeros(1, 16, 1, 8, 8)]}, ("'ReferenceLatent'",)),
        ("hunyuan_1", {"guiding_frame_index": 0}, ("'HunyuanImageToVideo'",)),
        ("ltxv", {"keyframe_idxs": torch.zeros(1, 3, 64)}, ("'LTXVAddGuide'",)),
    ):
        model, videos = apply_sync(families.build(name, torch.float32)), grid_videos(name)
        videos = type(videos)(videos.latent, videos.noise, videos.mask, values)
        with refused(*words):
            sampled(name, model, videos)


def check_cells_enter_at_their_own_noise_level() -> None:
    for name, looks in (("wan_t2v", False), ("wan22_5b", True), ("ltxv", True), ("cosmos_predict2", True)):
        model, videos = families.build(name, torch.float32), grid_videos(name)
        levels = []

        def note(layer: int, y_view: Any, y_time: Any, level: Any, levels: list[Any] = levels) -> Any:
            levels.append(level)
            return y_view, y_time

        sampled(name, streams(model, rule=note), videos, "one_call")
        level = levels[0][0]
        highest = level.max()
        assert level.shape == (VIEWS, TIMES) and 0.3 < highest < 0.7  # sigma 0.6, as a flow model's level
        known = videos.mask[:, 0, :, 0, 0] == 0
        assert (level[~known] == highest).all() and (level[known] == (0 if looks else highest)).all()


def check_layers_and_noise_levels_can_be_left_out() -> None:
    model, videos = families.build("wan_t2v"), grid_videos("wan_t2v")

    def made(**settings: Any) -> torch.Tensor:
        return sampled("wan_t2v", apply_sync(model, variant="hard", **settings), videos, "one_call")

    unmixed = sampled("wan_t2v", streams(model), videos, "one_call")
    assert torch.equal(made(highest_noise=0.5), unmixed) and torch.equal(made(lowest_noise=0.7), unmixed)
    assert not torch.equal(made(lowest_noise=0.5, highest_noise=0.7), unmixed)
    every, first, last = made(), made(last_layer=0), made(first_layer=2)
    assert all(largest_difference(a, b) > 1e-6 for a, b in ((every, first), (first, last), (last, unmixed)))
    assert torch.equal(made(first_layer=0, last_layer=2), every)
    with refused("sync from layer 2 to 1", "0 to 2"):
        apply_sync(model, first_layer=2, last_layer=1)


def check_patching_leaves_the_model_as_it_was() -> None:
    model = families.build("wan_t2v", torch.float32)
    patch = host_process.part("nodes.host_models.patch")
    factor = model.model.memory_usage_factor
    once = apply_sync(model)
    twice = apply_sync(once, variant="hard")
    assert patch.streams_of(model) is None and not model.object_patches
    assert patch.streams_of(once).sync.spec.variant == "soft" and patch.streams_of(twice).sync.spec.variant == "hard"
    assert once.object_patches == twice.object_patches == {"memory_usage_factor": factor * patch.MEMORY_FACTOR}
    videos = grid_videos("wan_t2v")
    before = sampled("wan_t2v", model, videos)
    sampled("wan_t2v", twice, videos)
    assert torch.equal(sampled("wan_t2v", model, videos), before)
    assert model.get_model_object("memory_usage_factor") == factor


def check_sync_weights_belong_to_one_base() -> None:
    core = {name: host_process.part(f"fourreal_core.model.{name}") for name in ("sync", "sync_file", "fingerprint")}
    model, videos = families.build("wan_t2v", torch.float32), grid_videos("wan_t2v")
    spec = core["sync"].SyncSpec("soft_trained", 3, width=24)
    with torch.inference_mode(False):
        layers = core["sync"].build_sync(spec)
    with tempfile.TemporaryDirectory() as folder:
        folder_paths.folder_names_and_paths["fourreal"] = ([folder], {".safetensors"})
        base = core["fingerprint"].fingerprint(model.model.diffusion_model.parameters())
        core["sync_file"].save_sync(os.path.join(folder, "new.safetensors"), layers, base)
        with torch.inference_mode(False), torch.no_grad():
            for parameter in layers.parameters():
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
        core["sync_file"].save_sync(os.path.join(folder, "trained.safetensors"), layers, base)
        folder_paths.filename_list_cache.pop("fourreal", None)
        assert host_process.part("nodes.sync_files").list_files() == ["none", "new.safetensors", "trained.safetensors"]
        untrained = sampled("wan_t2v", apply_sync(model), videos)
        new = sampled("wan_t2v", apply_sync(model, sync_weights="new.safetensors"), videos)
        trained = sampled("wan_t2v", apply_sync(model, sync_weights="trained.safetensors"), videos)
        assert torch.equal(new, untrained) and largest_difference(trained, untrained) > 1e-6
        with refused("trained on a base model", "change sync_weights"):
            other = families.build("wan_t2v", torch.float32, ffn_dim=48)
            apply_sync(other, sync_weights="trained.safetensors")
        with refused("the variant 'soft'", "choose the variant"):
            apply_sync(model, variant="hard", sync_weights="trained.safetensors")
        with refused("no file 'gone.safetensors'"):
            apply_sync(model, sync_weights="gone.safetensors")


def check_half_precision_runs() -> None:
    core = {name: host_process.part(f"fourreal_core.model.{name}") for name in ("sync", "sync_file", "fingerprint")}
    for dtype in (torch.bfloat16, torch.float16):
        for name in ("wan22_5b", "ltxv", "hunyuan_1", "cosmos_predict2"):
            model, videos = families.build(name, dtype), grid_videos(name)
            family = host_process.part("nodes.host_models.registry").host_model(model)
            spec = core["sync"].SyncSpec("hard_trained", len(family.layers()), width=24)
            layers = core["sync"].build_sync(spec)
            with tempfile.TemporaryDirectory() as folder:
                folder_paths.folder_names_and_paths["fourreal"] = ([folder], {".safetensors"})
                base = core["fingerprint"].fingerprint(model.model.diffusion_model.parameters())
                core["sync_file"].save_sync(os.path.join(folder, "sync.safetensors"), layers, base)
                folder_paths.filename_list_cache.pop("fourreal", None)
                trained = apply_sync(model, variant="hard", sync_weights="sync.safetensors")
            out = sampled(name, trained, videos, "one_call")
            assert out.isfinite().all()
            # weights that start at zero: the untrained rule, whatever type the model computes in
            assert torch.equal(out, sampled(name, apply_sync(model, variant="hard"), videos, "one_call"))


def check_guiders_of_any_number_of_prompts() -> None:
    from comfy_extras import nodes_custom_sampler

    model, videos = streams(families.build("wan_t2v"), "soft"), grid_videos("wan_t2v")
    positive, negative = families.conditioning("wan_t2v", 3), families.conditioning("wan_t2v", 4)
    single = comfy.samplers.CFGGuider(model)
    single.set_conds(positive, negative)
    single.set_cfg(1.0)
    basic = nodes_custom_sampler.Guider_Basic(model)
    basic.set_conds(positive)
    both = nodes_custom_sampler.Guider_DualCFG(model)
    both.set_conds(positive, positive, negative)
    both.set_cfg(2.0, CFG)
    two = custom_advanced(model, positive, negative, videos)
    # computed in float64 and rounded to float32 at each step
    assert largest_difference(guided(model, both, videos), two) < 1e-6
    one = guided(model, single, videos)
    assert torch.equal(guided(model, basic, videos), one) and largest_difference(one, two) > 1e-4


def check_models_of_files_and_their_loras() -> None:
    """A file of half-precision weights through the host's own loader, as 'Load Diffusion Model' runs it."""
    sizes = {"dim": 128, "num_heads": 1, "freq_dim": 256, "text_dim": 4096}  # what the host doesn't read from a file
    generator, videos = torch.Generator().manual_seed(2), grid_videos("wan_t2v")
    weights = families.build("wan_t2v", torch.float32, **sizes).model.diffusion_model.state_dict()
    text = [[torch.randn(1, 6, 4096, generator=generator), {}]]
    name = "diffusion_model.blocks.1.self_attn.o"
    lora = {
        f"{name}.lora_up.weight": torch.randn(128, 2, generator=generator),
        f"{name}.lora_down.weight": torch.randn(2, 128, generator=generator),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "tiny.safetensors")
        # smaller weights than the other checks have: sums over 128 and 4096 channels
        save_file({key: (0.2 * value).half().contiguous() for key, value in weights.items()}, path)
        model = comfy.sd.load_diffusion_model(path)

    def made(model: Any, some: Any = videos) -> torch.Tensor:
        return one_call(model, text, text, some)

    alone = torch.cat([made(model, videos.row(view)) for view in range(VIEWS)])
    assert largest_difference(made(streams(model, joined=SIDES["time"])), alone) < 2e-6
    plain = made(apply_sync(model))
    before, behind = (
        apply_sync(comfy.sd.load_lora_for_models(model, None, lora, 1.0, 0.0)[0]),
        comfy.sd.load_lora_for_models(apply_sync(model), None, lora, 1.0, 0.0)[0],
    )
    tuned = made(before)
    assert torch.equal(made(behind), tuned) and largest_difference(tuned, plain) > 1e-4
    assert torch.equal(made(apply_sync(model)), plain)


def check_weights_are_not_fetched_ahead() -> None:
    """Two runs of the host's prefetching would release each other's blocks."""
    two_streams = host_process.part("nodes.host_models.two_streams")
    seen = []

    def forward(options: dict[str, Any]) -> None:
        seen.append(options["prefetch_dynamic_vbars"])

    from comfy.patcher_extension import WrapperExecutor, WrappersMP, get_all_wrappers

    own = two_streams.own_options({"wrappers": {}, "sigmas": torch.ones(3)}, torch.ones(4)) | {
        "prefetch_dynamic_vbars": True
    }
    WrapperExecutor.new_executor(forward, get_all_wrappers(WrappersMP.DIFFUSION_MODEL, own)).execute(own)
    assert seen == [False] and own["sigmas"].shape == (4,)


run_checks(dict(globals()))
