"""Run by the host's interpreter: other nodes' patches around a model that runs grids.

Every function ``check_...`` is one check; the test file finds them by name.
"""

from __future__ import annotations

import host_process

host_process.enter_host()

import inspect  # noqa: E402 - the host reads its arguments before anything else
from typing import Any  # noqa: E402

import comfy.hooks  # noqa: E402
import comfy.model_patcher  # noqa: E402
import comfy.patcher_extension  # noqa: E402
import comfy.samplers  # noqa: E402
import families  # noqa: E402
import torch  # noqa: E402
from checks import apply_sync, grid, refused, run_checks  # noqa: E402
from families import TIMES, VIEWS  # noqa: E402
from grids import SIDES, Videos, apart, grid_videos, largest_difference, sampled, streams  # noqa: E402
from own_models import SEED, conditioned, loaded, random_model  # noqa: E402

import nodes  # noqa: E402

NATIVE = ("wan_t2v", "ltxv", "hunyuan_1")
STEPS = 6


def kinds() -> Any:
    return host_process.part("nodes.host_models.patch_kinds")


def patched_by(module: str, node: str, model: Any, **settings: Any) -> Any:
    """A MODEL behind a node of the host's own, with the settings that this version of the node knows."""
    kind = getattr(__import__(f"comfy_extras.{module}", fromlist=[node]), node)
    run = getattr(kind, "execute", None) or getattr(kind(), kind.FUNCTION)
    known = inspect.signature(run).parameters
    made = run(model, **{name: value for name, value in settings.items() if name in known})
    return getattr(made, "args", made)[0]


def square(videos: Videos) -> Videos:
    """As many times as views: what one stream keeps would fit the other."""
    return Videos(*(x[:, :, :VIEWS].contiguous() for x in (videos.latent, videos.noise, videos.mask)), videos.extra)


def run_own(model: Any, made: Any, steps: int = STEPS, cfg: float = 1.0) -> torch.Tensor:
    positive, negative, latent = made
    return nodes.KSampler().sample(model, SEED, steps, cfg, "euler", "simple", positive, negative, latent, denoise=1.0)[
        0
    ]["samples"]


def own(**changes: Any) -> tuple[Any, Any]:
    """A 4Real model and its inputs."""
    model, vae = loaded(random_model(**changes))
    return model, conditioned(model, vae, grid())


def windows(model: Any, wan: bool = False, length: int = 2) -> Any:
    settings = {
        "context_overlap": 1,
        "context_schedule": "standard_static",
        "context_stride": 1,
        "closed_loop": False,
        "fuse_method": "pyramid",
        "freenoise": True,
    }
    if wan:
        return patched_by("nodes_context_windows", "WanContextWindowsManualNode", model, context_length=5, **settings)
    return patched_by(
        "nodes_context_windows", "ContextWindowsManualNode", model, context_length=length, dim=2, **settings
    )


def check_every_kind_of_the_host_has_a_row() -> None:
    known = kinds()
    listed = {place: {name for p, name in known.KINDS if p == place} for place, _ in known.KINDS}
    wrappers, callbacks = (
        {value for name, value in vars(kind).items() if name.isupper()}
        for kind in (comfy.patcher_extension.WrappersMP, comfy.patcher_extension.CallbacksMP)
    )
    assert len(wrappers) == 7 and wrappers == listed[known.WRAPPER]
    assert len(callbacks) >= 9 and callbacks <= listed[known.CALLBACK]
    assert {kind.value for kind in comfy.hooks.EnumHookType} == listed[known.HOOK]
    patcher = comfy.model_patcher.ModelPatcher(torch.nn.Linear(1, 1), torch.device("cpu"), torch.device("cpu"))
    for name, function in inspect.getmembers(patcher, inspect.ismethod):
        if name.startswith("set_model_") and list(inspect.signature(function).parameters) == ["patch"]:
            function(print)
    inside = set(patcher.model_options["transformer_options"]["patches"])
    assert len(inside) >= 11 and inside <= listed[known.INSIDE]
    functions = {
        "set_model_sampler_cfg_function": lambda a, b, c: None,
        "set_model_sampler_pre_cfg_function": print,
        "set_model_sampler_post_cfg_function": print,
        "set_model_sampler_calc_cond_batch_function": print,
        "set_model_unet_function_wrapper": print,
        "set_model_denoise_mask_function": print,
    }
    for name, value in functions.items():
        getattr(patcher, name)(value)
    patcher.set_model_sampler_post_cfg_function(print, disable_cfg1_optimization=True)
    assert set(patcher.model_options) - {"transformer_options"} <= listed[known.SAMPLER]
    assert known.kind_of(known.WRAPPER, "some_new_place") is known.UNKNOWN
    assert known.UNKNOWN.native == known.UNKNOWN.own == known.REFUSED


def check_context_windows_are_refused_by_name() -> None:
    for name in NATIVE:
        plain, videos = families.build(name, torch.float32), grid_videos(name)
        for model in (apply_sync(windows(plain)), windows(apply_sync(plain)), windows(apply_sync(plain), wan=True)):
            with refused("'Context Windows'", "'Extend 4D Grid'"):
                sampled(name, model, videos)
    model, made = own()
    for cut in (windows(model), windows(model, wan=True), windows(apply_sync(model))):
        with refused("'Context Windows'", "'Extend 4D Grid'"):
            run_own(cut, made)
    whole = run_own(model, made)
    assert torch.equal(run_own(windows(model, length=TIMES), made), whole)  # one window holds all


def check_other_cuts_of_the_grid_are_noticed_in_the_call() -> None:
    def half(executor: Any, model: Any, conds: Any, x: torch.Tensor, *rest: Any) -> Any:
        return executor(model, conds, x[:, :, :2], *rest)

    plain, videos = families.build("wan_t2v", torch.float32), grid_videos("wan_t2v")
    native = apply_sync(plain)
    native.add_wrapper_with_key("calc_cond_batch", "half", half)
    with refused("a part of the grid", "'Extend 4D Grid'"):
        sampled("wan_t2v", native, videos)
    model, made = own()
    model = model.clone()
    model.add_wrapper_with_key("calc_cond_batch", "half", half)
    with refused("a part of the grid", "'Extend 4D Grid'"):
        run_own(model, made)


def check_easycache() -> None:
    settings = {"start_percent": 0.0, "end_percent": 1.0, "verbose": False}

    def cached(node: str, model: Any, threshold: float) -> Any:
        return patched_by("nodes_easycache", f"{node}Node", model, reuse_threshold=threshold, **settings)

    for name in NATIVE:
        plain, videos = families.build(name, torch.float32), square(grid_videos(name))
        for model in (apply_sync(cached("EasyCache", plain, 3.0)), cached("EasyCache", apply_sync(plain), 3.0)):
            with refused("EasyCache", "'LazyCache'"):
                sampled(name, model, videos)
        both = apply_sync(plain)
        out = sampled(name, both, videos)
        assert torch.equal(sampled(name, cached("LazyCache", both, 0.0), videos), out)
    model, made = own()
    plain_out, calls = run_own(model, made), []
    handle = model.model.diffusion_model.dit.register_forward_pre_hook(lambda *_: calls.append(1))
    count = model.model.diffusion_model.dit.blocks[0].register_forward_pre_hook(lambda *_: calls.append(1))
    for node in ("EasyCache", "LazyCache"):
        assert torch.equal(run_own(cached(node, model, 0.0), made), plain_out), node
        calls.clear()
        run_own(model, made)
        every = len(calls)
        calls.clear()
        out = run_own(cached(node, model, 3.0), made)
        assert 0 < len(calls) < every, (node, len(calls), every)  # steps were left out
        known = made[2]["noise_mask"].expand_as(out) == 0
        assert out.isfinite().all() and torch.equal(out[known], plain_out[known])
    handle.remove()
    count.remove()


def check_caches_inside_the_network_are_refused() -> None:
    plain, videos = families.build("wan_t2v", torch.float32), square(grid_videos("wan_t2v"))
    network = plain.model.diffusion_model
    calls: list[int] = []

    def teacache_forward(x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        calls.append(1)
        if len(calls) % 2 == run_at:
            return type(network).forward_orig(network, x, *args, **kwargs)
        return torch.zeros_like(x)  # something kept, of the same shape in both streams

    run_at = 1

    replaced = apply_sync(plain)
    replaced.add_object_patch("diffusion_model.forward_orig", teacache_forward)
    with refused("'check_caches_inside_the_network_are_refused'", "diffusion_model.forward_orig", "'LazyCache'"):
        sampled("wan_t2v", replaced, videos)

    def around(apply_model: Any, given: dict[str, Any]) -> torch.Tensor:
        return apply_model(given["input"], given["timestep"], **given["c"])

    wrapped = apply_sync(plain)
    wrapped.set_model_unet_function_wrapper(around)
    with refused("model_function_wrapper", "'LazyCache'"):
        sampled("wan_t2v", wrapped, videos)
    network.forward_orig = teacache_forward  # put there where no patch can be seen
    try:
        with refused("different layers"):
            sampled("wan_t2v", apply_sync(plain), videos)
        run_at = 2  # never
        with refused("0 of 3 layers ran", "'LazyCache'"):
            sampled("wan_t2v", apply_sync(plain), videos)
    finally:
        del network.forward_orig
    wrapper = apply_sync(plain)
    wrapper.add_wrapper_with_key("diffusion_model", "some", lambda executor, *a, **k: executor(*a, **k))
    with refused("a wrapper (diffusion_model)", "would run once a stream"):
        sampled("wan_t2v", wrapper, videos)
    unknown = apply_sync(plain)
    unknown.add_wrapper_with_key("some_new_place", "some", lambda executor, *a, **k: executor(*a, **k))
    with refused("a wrapper (some_new_place)", "unknown"):
        sampled("wan_t2v", unknown, videos)


def check_wrappers_of_the_model_call_see_the_whole_grid() -> None:
    plain, videos, seen = families.build("wan_t2v", torch.float32), grid_videos("wan_t2v"), []

    def look(executor: Any, x: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        seen.append(tuple(x.shape))
        return executor(x, *args, **kwargs)

    expected = sampled("wan_t2v", apply_sync(plain), videos)
    before, behind = plain.clone(), apply_sync(plain)
    before.add_wrapper_with_key("apply_model", "look", look)
    behind.add_wrapper_with_key("apply_model", "look", look)
    for model in (apply_sync(before), behind):
        seen.clear()
        assert torch.equal(sampled("wan_t2v", model, videos), expected)
        assert seen and set(seen) == {(2 * VIEWS, 16, TIMES, 8, 8)}, set(seen)


def check_a_hook_of_a_prompt_is_judged_in_the_call() -> None:
    plain, videos = families.build("wan_t2v", torch.float32), grid_videos("wan_t2v")
    hook = comfy.hooks.TransformerOptionsHook(
        {"patches": {"attn1_patch": [lambda *a, **k: a]}}, comfy.hooks.EnumHookScope.HookedOnly
    )
    group = comfy.hooks.HookGroup()
    group.add(hook)
    with refused("attn1_patch", "one stream's tokens"):
        sampled("wan_t2v", apply_sync(plain), Videos(videos.latent, videos.noise, videos.mask, {"hooks": group}))


def check_skipped_layers() -> None:
    settings = {"scale": 2.0, "start_percent": 0.0, "end_percent": 1.0, "rescaling_scale": 0.0}
    for name in ("wan_t2v", "ltxv", "hunyuan_1", "mochi", "kandinsky5", "wan_vace"):
        if not families.exists(name):
            continue
        plain, videos = families.build(name), grid_videos(name)
        skipping = patched_by(
            "nodes_slg", "SkipLayerGuidanceDiT", plain, double_layers="1", single_layers="0", **settings
        )
        for side, joined in SIDES.items():
            together = sampled(name, streams(skipping, joined=joined), videos)
            difference = largest_difference(together, apart(name, skipping, videos, side))
            assert difference < 1e-6, (name, side, difference)
        assert (
            largest_difference(sampled(name, streams(skipping), videos), sampled(name, streams(plain), videos)) > 1e-4
        )
        behind = patched_by(
            "nodes_slg", "SkipLayerGuidanceDiT", apply_sync(plain), double_layers="1", single_layers="0", **settings
        )
        assert torch.equal(sampled(name, behind, videos), sampled(name, apply_sync(skipping), videos))
    simple = patched_by(
        "nodes_slg",
        "SkipLayerGuidanceDiTSimple",
        apply_sync(families.build("wan_t2v", torch.float32)),
        double_layers="1",
        single_layers="",
        start_percent=0.0,
        end_percent=1.0,
    )
    assert sampled("wan_t2v", simple, grid_videos("wan_t2v")).isfinite().all()
    other = families.build("cosmos_predict2", torch.float32)
    cosmos = patched_by(
        "nodes_slg", "SkipLayerGuidanceDiT", apply_sync(other), double_layers="1", single_layers="", **settings
    )
    with refused("'SkipLayerGuidanceDiT'"):
        sampled("cosmos_predict2", cosmos, grid_videos("cosmos_predict2"))
    model, made = own()
    guided = patched_by("nodes_slg", "SkipLayerGuidanceDiT", model, double_layers="1", single_layers="", **settings)
    with refused("a 4Real model", "'SkipLayerGuidanceDiT'"):
        run_own(guided, made)


def check_attention_guidance_is_refused() -> None:
    model, made = own()
    native, videos = apply_sync(families.build("wan_t2v", torch.float32)), grid_videos("wan_t2v")
    with refused("'PerturbedAttentionGuidance'", "attn1", "it would do nothing"):
        run_own(patched_by("nodes_pag", "PerturbedAttentionGuidance", model, scale=3.0), made)
    with refused("'PerturbedAttentionGuidance'", "attn1", "it would do nothing"):
        sampled("wan_t2v", patched_by("nodes_pag", "PerturbedAttentionGuidance", native, scale=3.0), videos)
    native.set_model_attn1_patch(lambda q, k, v, **rest: {"q": q, "k": k, "v": v})
    with refused("attn1_patch", "one stream's tokens"):
        sampled("wan_t2v", native, videos)


def check_another_attention_function() -> None:
    from comfy.ldm.modules.attention import attention_pytorch

    calls = []

    def override(function: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        calls.append(1)
        return attention_pytorch(*args, **kwargs)

    for name in NATIVE:
        plain, videos = families.build(name), grid_videos(name)
        expected = sampled(name, apply_sync(plain), videos)
        before, behind = plain.clone(), apply_sync(plain)
        before.model_options["transformer_options"]["optimized_attention_override"] = override
        behind.model_options["transformer_options"]["optimized_attention_override"] = override
        for model in (apply_sync(before), behind):
            calls.clear()
            assert largest_difference(sampled(name, model, videos), expected) < 1e-6 and calls
    model, made = own()
    expected = run_own(model, made)
    model = model.clone()
    model.model_options["transformer_options"]["optimized_attention_override"] = override
    assert torch.equal(run_own(model, made), expected)


def check_scaled_positions_hold_for_times_alone() -> None:
    plain, videos = families.build("wan_t2v"), grid_videos("wan_t2v")
    if not hasattr(plain, "set_model_rope_options"):
        return  # hosts before 0.4 know no such option
    scaled, space = plain.clone(), plain.clone()
    scaled.set_model_rope_options(scale_x=1.5, shift_x=1.0, scale_y=1.0, shift_y=0.0, scale_t=0.5, shift_t=2.0)
    space.set_model_rope_options(scale_x=1.5, shift_x=1.0, scale_y=1.0, shift_y=0.0, scale_t=1.0, shift_t=0.0)
    for side, same in (("time", scaled), ("view", space)):
        out = sampled("wan_t2v", streams(scaled, joined=SIDES[side]), videos)
        assert largest_difference(out, apart("wan_t2v", same, videos, side)) == 0.0, side
    assert largest_difference(apart("wan_t2v", scaled, videos, "view"), out) > 1e-6
    model, made = own()
    model = model.clone()
    model.set_model_rope_options(1.5, 0.0, 1.0, 0.0, 1.0, 0.0)
    with refused("a 4Real model", "'ScaleROPE'"):
        run_own(model, made)


def check_compiled_models() -> None:
    from comfy_api.torch_helpers import set_torch_compile_wrapper

    graphs: list[int] = []

    def eager(graph: Any, inputs: Any) -> Any:
        graphs.append(1)
        return graph.forward

    for name in ("wan_t2v",):
        plain, videos = families.build(name, torch.float32), grid_videos(name)
        expected = sampled(name, apply_sync(plain), videos, "one_call")
        for keys in (["diffusion_model"], ["diffusion_model.blocks.0", "diffusion_model.blocks.2"]):
            before, behind = plain.clone(), apply_sync(plain)
            set_torch_compile_wrapper(before, eager, keys=keys)
            set_torch_compile_wrapper(behind, eager, keys=keys)
            for model in (apply_sync(before), behind):
                graphs.clear()
                torch.compiler.reset()
                out = sampled(name, model, videos, "one_call")
                assert graphs, (name, keys)
                assert largest_difference(out, expected) < 1e-5, (name, keys, largest_difference(out, expected))
        assert not any("forward" in vars(block) for block in plain.model.diffusion_model.modules())
        assert torch.equal(sampled(name, apply_sync(plain), videos, "one_call"), expected)
    model, made = own()
    expected = run_own(model, made)
    compiled = model.clone()
    set_torch_compile_wrapper(compiled, eager)
    assert largest_difference(run_own(compiled, made), expected) < 1e-4
    soft = apply_sync(model)
    expected = run_own(soft, made)
    set_torch_compile_wrapper(soft, eager)
    assert largest_difference(run_own(soft, made), expected) < 1e-4


def check_swapped_blocks() -> None:
    """Weights that come when a block runs and go behind it, in hooks of their own."""
    plain, videos, moved = families.build("wan_t2v", torch.float32), grid_videos("wan_t2v"), []
    expected = sampled("wan_t2v", apply_sync(plain), videos)
    for swap in ("before", "behind"):
        model = plain.clone() if swap == "before" else apply_sync(plain)
        handles: list[Any] = []

        def loaded_now(patcher: Any, *args: Any, handles: list[Any] = handles, **kwargs: Any) -> None:
            for block in patcher.model.diffusion_model.blocks:
                handles.append(block.register_forward_pre_hook(lambda *_: moved.append("in")))
                handles.append(block.register_forward_hook(lambda *_: moved.append("out")))

        model.add_callback("on_load_after", loaded_now)
        model = apply_sync(model) if swap == "before" else model
        comfy.model_management.unload_all_models()
        out = sampled("wan_t2v", model, videos)
        assert moved and torch.equal(out, expected), swap
        for handle in handles:
            handle.remove()
        moved.clear()
        comfy.model_management.unload_all_models()


def check_functions_of_the_sampling() -> None:
    """Guidance of other kinds works on whole grids: with unmixed streams it is that of separate videos."""
    plain, videos, seen = families.build("wan_t2v"), grid_videos("wan_t2v"), []

    def halved(args: dict[str, Any]) -> torch.Tensor:
        seen.append(tuple(args["denoised"].shape))
        return args["denoised"] * 0.5

    changed = plain.clone()
    changed.set_model_sampler_post_cfg_function(halved)
    changed.set_model_sampler_cfg_function(lambda args: args["cond"])
    changed.set_model_sampler_pre_cfg_function(lambda args: args["conds_out"])
    changed.set_model_denoise_mask_function(lambda sigma, mask, extra_options: (mask > 0.5).to(mask))
    for side, joined in SIDES.items():
        seen.clear()
        out = sampled("wan_t2v", streams(changed, joined=joined), videos)
        assert set(seen) == {(VIEWS, 16, TIMES, 8, 8)}
        assert largest_difference(out, apart("wan_t2v", changed, videos, side)) == 0.0


def check_removed_patches() -> None:
    plain, videos = families.build("wan_t2v", torch.float32), grid_videos("wan_t2v")
    key = host_process.part("nodes.host_models.two_streams").KEY
    alone = sampled("wan_t2v", plain, videos)
    half = apply_sync(plain)
    half.remove_wrappers_with_key("apply_model", key)
    with refused("whose two streams another node has removed", "'Apply Parallel Sync'"):
        sampled("wan_t2v", half, videos)
    none = apply_sync(plain)
    for place in ("apply_model", "outer_sample"):
        none.remove_wrappers_with_key(place, key)
    assert torch.equal(sampled("wan_t2v", none, videos), alone)
    model, made = own()
    expected = run_own(model, made)
    twice = apply_sync(apply_sync(model, variant="hard"), variant="auto")
    assert torch.equal(run_own(twice, made), expected)


def check_injections() -> None:
    plain, videos = families.build("wan_t2v", torch.float32), grid_videos("wan_t2v")
    injection = comfy.patcher_extension.PatcherInjection(lambda model: None, lambda model: None)
    for name in ("bypass_lora", "something"):
        model = apply_sync(plain)
        model.set_injections(name, [injection])
        if name == "bypass_lora":
            assert torch.equal(sampled("wan_t2v", model, videos), sampled("wan_t2v", apply_sync(plain), videos))
        else:
            with refused("a injection (something)", "unknown"):
                sampled("wan_t2v", model, videos)


def check_several_devices_are_refused() -> None:
    plain, videos = families.build("wan_t2v", torch.float32), grid_videos("wan_t2v")
    model = apply_sync(plain)
    model.set_additional_models("multigpu", [plain.clone()])
    with refused("copies on several devices", "'MultiGPU Work Units'"):
        sampled("wan_t2v", model, videos)


run_checks(dict(globals()))
