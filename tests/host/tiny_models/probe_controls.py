"""Run by the host's interpreter: where sampling starts, and how streams are mixed, in native models.

Every function ``check_...`` is one check; the test file finds them by name.
"""

from __future__ import annotations

import host_process

host_process.enter_host()

from typing import Any  # noqa: E402 - the host reads its arguments before anything else

import comfy.sample  # noqa: E402
import comfy.samplers  # noqa: E402
import families  # noqa: E402
import torch  # noqa: E402
from checks import PIXELS, FakeVae, apply_sync, grid, node, outputs, refused, run_checks  # noqa: E402
from families import TIMES, VIEWS  # noqa: E402
from grids import apart, grid_videos, largest_difference, sampled, streams  # noqa: E402

SETTINGS = {"seed": 7, "steps": 4, "cfg": 1.0, "sampler_name": "euler", "scheduler": "simple"}


class Decoding(FakeVae):
    """Decodes, too: the first three channels, each repeated."""

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        large = latents[:, :3, 0].repeat_interleave(8, -1).repeat_interleave(8, -2)
        return large.movedim(1, -1)[:, None]


def part(name: str) -> Any:
    return host_process.part(f"nodes.{name}")


def shifted(shift: float) -> Any:
    """A tiny Wan behind ModelSamplingSD3, as the Wan workflow has it."""
    from comfy_extras import nodes_model_advanced

    return nodes_model_advanced.ModelSamplingSD3().patch(families.build("wan_t2v", torch.float32), shift)[0]


def check_sigmas_start_at_the_level() -> None:
    levels = part("starting_level")
    core = host_process.part("fourreal_core.sampling.rectified_flow")
    for shift in (1.0, 8.0):
        model = shifted(shift)
        for level in (0.1, 0.5, 0.9):
            for scheduler in ("simple", "normal", "sgm_uniform", "beta", "karras"):
                sigmas = levels.start_sigmas(model, 6, scheduler, level)
                assert len(sigmas) == 7 and float(sigmas[-1]) == 0.0, (scheduler, sigmas)
                assert abs(float(sigmas[0]) - level) < 1e-6 and bool((sigmas.diff() < 0).all()), (scheduler, sigmas)
                assert abs(levels.level_of(model, float(sigmas[0])) - level) < 1e-6
            own = core.schedule(core.SamplingOptions(6, shift, level))
            # read between a thousand steps of the host's schedule, which are a thousandth apart before the shift
            assert (levels.start_sigmas(model, 6, "simple", level).double() - own).abs().max() < 2e-2
        whole = comfy.samplers.calculate_sigmas(model.get_model_object("model_sampling"), "simple", 6)
        assert torch.equal(levels.start_sigmas(model, 6, "simple", 1.0), whole)
        sampler = comfy.samplers.KSampler(model, 6, torch.device("cpu"), "uni_pc", "simple", 1.0)
        assert torch.equal(levels.start_sigmas(model, 6, "simple", 1.0, "uni_pc"), sampler.sigmas)
    other = families.build("cosmos_predict2", torch.float32)
    sigmas = levels.start_sigmas(other, 6, "simple", 0.5)
    assert abs(levels.level_of(other, float(sigmas[0])) - 0.5) < 1e-3
    for level in (0.0, 1.5):
        with refused("starting noise level"):
            levels.start_sigmas(model, 6, "simple", level)


def check_what_is_left_of_the_proposal_is_said_and_true() -> None:
    model, given, text = shifted(8.0), grid(), families.conditioning("wan_t2v", 3)
    proposal = torch.rand(VIEWS * TIMES, PIXELS, PIXELS, 3, generator=torch.Generator().manual_seed(1))
    seen: list[torch.Tensor] = []

    def look(executor: Any, x: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        seen.append(x.clone())
        return executor(x, *args, **kwargs)

    model.add_wrapper_with_key("apply_model", "look", look)
    sampler = node("sampler", "ParallelSyncSampler")
    for settings, level, words in (
        ({"start_noise": 0.4}, 0.4, "60 % of the proposal"),
        ({"start_noise": 0.4, "denoise": 0.9}, 0.4, "60 % of the proposal"),
        ({"denoise": 0.6}, None, "6 % of the proposal"),
        ({}, None, "nothing of the proposal"),
    ):
        seen.clear()
        _, latent, start = outputs(
            sampler.execute(
                model, Decoding(16), given, text, text, variant="soft", proposal=proposal, **SETTINGS | settings
            )
        )
        assert words in start, start
        if level is None:
            continue
        prepared = outputs(
            node("freeze_time_conditioning", "FreezeTimeConditioning").execute(
                model, Decoding(16), given, text, text, proposal
            )
        )[2]
        start_of = model.get_model_object("latent_format").process_in(prepared["samples"])
        noise = comfy.sample.prepare_noise(prepared["samples"], SETTINGS["seed"])
        unknown = prepared["noise_mask"].expand_as(noise) > 0
        assert largest_difference(seen[0][unknown], torch.lerp(start_of, noise, level)[unknown]) < 1e-5
    with refused("a start_noise of 0.4 and no proposal", "set start_noise to 0"):
        sampler.execute(model, Decoding(16), given, text, text, **SETTINGS | {"start_noise": 0.4})
    conditioning = node("freeze_time_conditioning", "FreezeTimeConditioning")
    with refused("a start_noise of 0.4 and no proposal", "set start_noise to 1"):
        conditioning.execute(model, Decoding(16), given, text, text, start_noise=0.4)


def check_guidance_by_the_proposal() -> None:
    model, given, text = shifted(8.0), grid(), families.conditioning("wan_t2v", 3)
    wires = part("wires")
    frames = torch.rand(given.frames.shape, generator=torch.Generator().manual_seed(1))
    error = torch.zeros(given.frames.shape[:4])
    error[:, :, :, PIXELS // 2 :] = 30.0  # the right half is a guess
    error[1, 2, 3, 3] = 7.0  # and one pixel
    made = given.filled(frames)
    proposal = wires.ProposedGrid(made.frames, made.known, made.valid, error, made.frames)
    calls: list[tuple[float, torch.Tensor]] = []

    def look(executor: Any, x: torch.Tensor, t: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        calls.append((float(t.max()), x.clone()))
        return executor(x, t, *args, **kwargs)

    model.add_wrapper_with_key("apply_model", "look", look)

    def run(**settings: Any) -> tuple[torch.Tensor, torch.Tensor]:
        calls.clear()
        _, latent, _ = outputs(
            node("sampler", "ParallelSyncSampler").execute(
                model,
                Decoding(16),
                given,
                text,
                text,
                **{"proposal": proposal, "start_noise": 0.9} | SETTINGS | settings,
            )
        )
        return latent["samples"], latent["noise_mask"]

    plain, mask = run()
    assert torch.equal(run(guide_until=1.0)[0], plain)
    prepared = outputs(
        node("freeze_time_conditioning", "FreezeTimeConditioning").execute(
            model, Decoding(16), given, text, text, proposal
        )
    )[2]["samples"]
    sure = torch.zeros_like(mask)
    sure[..., : PIXELS // 16] = 1
    sure[1, :, 2, 0, 0] = 0
    sure, unknown = (sure > 0).expand_as(plain), mask.expand_as(plain) > 0
    whole, _ = run(guide_until=0.0)
    # through four steps in the model's scale and back, in float32
    assert largest_difference(whole[sure & unknown], prepared[sure & unknown]) < 1e-4, largest_difference(
        whole[sure & unknown], prepared[sure & unknown]
    )
    start = model.get_model_object("latent_format").process_in(prepared)
    noise = comfy.sample.prepare_noise(prepared, SETTINGS["seed"])
    for level, x in calls:  # in every step reliable pixels are the proposal, with the noise it started from
        expected = torch.lerp(start, noise, level)
        assert largest_difference(x[sure & unknown], expected[sure & unknown]) < 1e-4, level
    assert largest_difference(whole[~sure & unknown], prepared[~sure & unknown]) > 1e-2
    half, _ = run(guide_until=0.7)
    held = [largest_difference(x[sure & unknown], torch.lerp(start, noise, s)[sure & unknown]) < 1e-4 for s, x in calls]
    levels = [level for level, _ in calls]
    # the first step at or below the level begins where guidance has left off
    assert min(levels) < 0.7 < max(levels)
    assert held == [level > 0.7 or (k > 0 and levels[k - 1] > 0.7) for k, level in enumerate(levels)], (held, levels)
    assert min(largest_difference(half, other) for other in (whole, plain)) > 1e-3
    with refused("a guide_until of 0.5 and no proposal that says how sure it is", "'Render 4D Scene'"):
        run(guide_until=0.5, proposal=made)
    changed = proposal.filled(1 - frames)
    with refused("no proposal that says how sure it is"):
        run(guide_until=0.5, proposal=changed)


def check_the_wired_graph_starts_there_too() -> None:
    from comfy_extras.nodes_custom_sampler import SamplerCustom

    model, given, text = shifted(8.0), grid(), families.conditioning("wan_t2v", 3)
    proposal = torch.rand(VIEWS * TIMES, PIXELS, PIXELS, 3, generator=torch.Generator().manual_seed(1))
    wired = apply_sync(model, strength=0.5)
    positive, negative, latent, sigmas, start = outputs(
        node("freeze_time_conditioning", "FreezeTimeConditioning").execute(
            wired, Decoding(16), given, text, text, proposal, start_noise=0.4, steps=4, scheduler="simple"
        )
    )
    assert "noise level 0.40: 60 %" in start
    run = getattr(SamplerCustom, "execute", None) or SamplerCustom().sample
    made = run(wired, True, 7, 1.0, positive, negative, comfy.samplers.sampler_object("euler"), sigmas, latent)
    one, one_latent, said = outputs(
        node("sampler", "ParallelSyncSampler").execute(
            model,
            Decoding(16),
            given,
            text,
            text,
            variant="soft",
            proposal=proposal,
            strength=0.5,
            start_noise=0.4,
            **SETTINGS,
        )
    )
    assert said == start and torch.equal(one_latent["samples"], getattr(made, "args", made)[0]["samples"])


def check_rows_and_columns_in_turn() -> None:
    for name in ("wan_t2v", "wan_i2v", "hunyuan_1", "ltxv"):
        model, videos, calls = families.build(name), grid_videos(name), []
        turned = apply_sync(model, variant="alternate")
        handle = model.model.diffusion_model.register_forward_pre_hook(
            lambda module, args, calls=calls: calls.append(len(args[0]))
        )
        out = sampled(name, turned, videos)  # two steps
        assert calls in ([2 * VIEWS, 2 * TIMES], [VIEWS, VIEWS, TIMES, TIMES]), (name, calls)
        calls.clear()
        sampled(name, apply_sync(model, variant="identity"), videos)
        assert sum(calls) == 4 * (VIEWS + TIMES), (name, calls)
        handle.remove()
        first = sampled(name, turned, videos, "one_call")
        assert largest_difference(first, apart(name, model, videos, "time", sampler="one_call")) < 1e-6, name
        assert largest_difference(out, apart(name, model, videos, "time")) > 1e-6
        known = videos.mask.expand_as(out) == 0
        assert largest_difference(out[known], videos.latent[known]) < 1e-5


def check_strength_and_identity() -> None:
    model, videos = families.build("wan_t2v"), grid_videos("wan_t2v")

    def made(**settings: Any) -> torch.Tensor:
        return sampled("wan_t2v", apply_sync(model, **settings), videos, "one_call")

    unmixed = sampled("wan_t2v", streams(model), videos, "one_call")
    assert torch.equal(made(variant="identity"), unmixed) and torch.equal(made(strength=0.0), unmixed)
    whole, quarter = made(), made(strength=0.25)
    assert torch.equal(made(strength=1.0), whole)
    assert 0 < largest_difference(quarter, unmixed) < largest_difference(whole, unmixed)
    identity = part("host_models.identity").identity
    settings = ({}, {"strength": 0.5}, {"variant": "alternate"}, {"variant": "identity"})
    keys = [str(identity(apply_sync(model, **some))["streams"]) for some in settings]
    assert len(set(keys)) == 4
    with refused("strength of 2"):
        made(strength=2.0)


run_checks(dict(globals()))
