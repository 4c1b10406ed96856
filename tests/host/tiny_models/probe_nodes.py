"""Run by the host's interpreter: the nodes around native models, with tiny models and a tiny VAE.

Every function ``check_...`` is one check; the test file finds them by name.
"""

from __future__ import annotations

import host_process

host_process.enter_host()


import importlib.util  # noqa: E402 - the host reads its arguments before anything else

import comfy.sample  # noqa: E402
import comfy.utils  # noqa: E402
import families  # noqa: E402
import torch  # noqa: E402
from checks import PIXELS, FakeVae, apply_sync, grid, node, outputs, prepared, refused, run_checks, tiny_vae  # noqa: E402
from families import TIMES, VIEWS  # noqa: E402

import nodes  # noqa: E402

SETTINGS = {"seed": 7, "steps": 2, "cfg": 3.0, "sampler_name": "euler", "scheduler": "simple"}
VAE = tiny_vae()


def check_one_node_is_the_wired_graph() -> None:
    model, given = families.build("wan_i2v", torch.float32), grid()
    positive, negative = families.conditioning("wan_i2v", 3), families.conditioning("wan_i2v", 4)
    proposal = torch.rand(VIEWS * TIMES, PIXELS, PIXELS, 3)
    for denoise, guess in ((1.0, None), (0.6, proposal)):
        wired = apply_sync(model)
        pos, neg, latent, *_ = outputs(
            node("freeze_time_conditioning", "FreezeTimeConditioning").execute(
                wired, VAE, given, positive, negative, guess
            )
        )
        (latent,) = nodes.KSampler().sample(
            wired, positive=pos, negative=neg, latent_image=latent, denoise=denoise, **SETTINGS
        )
        (frames,) = outputs(node("decode_latent", "Decode4DLatent").execute(latent, VAE, given))
        one_grid, one_latent, _ = outputs(
            node("sampler", "ParallelSyncSampler").execute(
                model, VAE, given, positive, negative, denoise=denoise, variant="soft", proposal=guess, **SETTINGS
            )
        )
        assert torch.equal(one_latent["samples"], latent["samples"])
        assert torch.equal(one_latent["noise_mask"], latent["noise_mask"])
        assert torch.equal(one_grid.frames, frames.frames) and not one_grid.frames.is_inference()
        assert torch.equal(one_grid.frames[given.known], given.frames[given.known])
        assert one_grid.frames[~given.known].std() > 0.01


def check_every_frame_is_encoded_alone() -> None:
    model, given = families.build("wan_t2v", torch.float32), grid()
    text = families.conditioning("wan_t2v", 3)
    _, _, latent, *_ = outputs(
        node("freeze_time_conditioning", "FreezeTimeConditioning").execute(model, VAE, given, text, text)
    )
    samples, mask = latent["samples"], latent["noise_mask"]
    assert samples.shape == (VIEWS, 16, TIMES, PIXELS // 8, PIXELS // 8)
    assert mask.shape == (VIEWS, 1, TIMES, PIXELS // 8, PIXELS // 8)
    assert torch.equal(mask[:, 0, :, 0, 0] == 0, given.known)
    for view, time in ((0, 0), (0, 3), (2, 0)):
        alone = VAE.encode(given.frames[view, time][None])
        # a batch of frames is summed in another order
        assert (samples[view, :, time] - alone[0, :, 0]).abs().max() < 1e-5 * alone.abs().max()
    # unknown cells start where the model's own scale has its zero
    zero = model.get_model_object("latent_format").process_in(samples)[1, :, 1]
    assert zero.abs().max() < 1e-6


def check_the_vae_is_called_for_many_frames_at_once() -> None:
    single, frames = (
        host_process.part("nodes.per_frame_vae"),
        torch.rand(40, PIXELS, PIXELS, 3, generator=torch.Generator().manual_seed(5)),
    )
    calls: list[int] = []

    class Counting(type(VAE)):  # type: ignore[misc]
        """The host's VAE, its calls counted."""

        def __init__(self) -> None:
            self.__dict__.update(VAE.__dict__)

        def encode(self, pixels: torch.Tensor) -> torch.Tensor:
            calls.append(len(pixels))
            return super().encode(pixels)

        def decode(self, latents: torch.Tensor) -> torch.Tensor:
            calls.append(len(latents))
            return super().decode(latents)

    vae = Counting()
    steps: list[int] = []
    latents = single.encode_alone(vae, list(frames), 16, lambda done, total, preview: steps.append(done))
    assert calls == [16, 16, 8] and steps == [16, 32, 40] and VAE.crop_input
    calls.clear()
    made = single.decode_alone(
        vae, torch.cat(latents).unflatten(0, (4, 10))[:, :, :, 0].transpose(1, 2), lambda *step: None
    )
    assert calls == [16, 16, 8] and made.shape == (4, 10, PIXELS, PIXELS, 3)
    for index in (0, 17, 39):
        alone = VAE.encode(frames[index][None])
        # a batch is summed in another order
        assert (latents[index] - alone).abs().max() < 1e-5 * alone.abs().max()
        picture = VAE.decode(alone).reshape(PIXELS, PIXELS, 3).clamp(0, 1)
        assert (made.flatten(0, 1)[index] - picture).abs().max() < 1e-4


def check_decoding_takes_every_latent_alone() -> None:
    latents = torch.randn(2, 16, 3, 4, 4, generator=torch.Generator().manual_seed(2))
    (made,) = outputs(node("decode_latent", "Decode4DLatent").execute({"samples": latents}, VAE))
    alone = VAE.decode(latents[1:2, :, 2:3]).reshape(PIXELS, PIXELS, 3)
    assert made.frames.shape == (2, 3, PIXELS, PIXELS, 3) and not made.known.any()
    assert (made.frames[1, 2] - alone.float().clamp(0, 1)).abs().max() < 1e-4
    with refused("a latent of 2 views and 3 times", "'Freeze-Time Conditioning'"):
        node("decode_latent", "Decode4DLatent").execute({"samples": latents}, VAE, grid())


def check_models_get_known_cells_in_their_own_form() -> None:
    shape = (VIEWS, TIMES, PIXELS // 8, PIXELS // 8)
    conditioned = {}
    for name in families.FAMILIES:
        if not families.exists(name):
            continue
        (positive, negative, latent) = prepared(name)
        before = families.conditioning(name, 3)[0][1]
        conditioned[name] = {
            k: v for k, v in positive[0][1].items() if k not in before and not k.startswith("fourreal")
        }
        assert set(negative[0][1]) == set(positive[0][1])
        mask = conditioned[name].get("concat_mask")
        assert mask is None or torch.equal(mask, latent["noise_mask"])
        image = conditioned[name].get("concat_latent_image")
        if image is not None:
            channels = families.FAMILIES[name].channels
            assert image.shape == (VIEWS, channels, *shape[1:])
            kept = (1 - latent["noise_mask"]).expand_as(image) > 0
            assert torch.equal(image[kept], latent["samples"][kept])
            assert image[1, :, 1].std() < 1e-6  # grey or zero where nothing is known
    both, nothing = {"concat_latent_image", "concat_mask"}, set()
    expected = {
        "wan_t2v": nothing,
        "wan_i2v": both,
        "wan_camera": both,
        "wan22_camera": both,
        "wan22_5b": nothing,
        "ltxv": nothing,
        "ltx2": nothing,
        "hunyuan_1": nothing,
        "hunyuan_i2v": both,
        "hunyuan_15": both,
        "cosmos_predict2": nothing,
        "cosmos_predict2_i2v": nothing,
        "cogvideox": nothing,
        "cogvideox_i2v": {"concat_latent_image"},
        "mochi": nothing,
        "kandinsky5": {"concat_mask"},
        "wan_vace": {"vace_frames", "vace_mask", "vace_strength"},
    }
    assert {name: set(values) for name, values in conditioned.items()} == {name: expected[name] for name in conditioned}
    vace = conditioned["wan_vace"]
    assert vace["vace_frames"][0].shape == (VIEWS, 32, *shape[1:])
    assert vace["vace_mask"][0].shape == (VIEWS, 64, *shape[1:])
    assert (vace["vace_mask"][0][0] == 0).all() and (vace["vace_mask"][0][1, :, 1] == 1).all()
    assert torch.equal(vace["vace_frames"][0][2, :16, 0], latent_of("wan_vace")[2, :, 0])


def latent_of(name: str) -> torch.Tensor:
    return prepared(name)[2]["samples"]


def check_conditioned_models_run() -> None:
    for name in families.FAMILIES:
        if not families.exists(name):
            continue
        positive, negative, latent = prepared(name)
        model = apply_sync(families.build(name, torch.float32))
        made = (
            comfy.sample.sample(
                model,
                torch.randn_like(latent["samples"]),
                1,
                2.0,
                "euler",
                "simple",
                positive,
                negative,
                latent["samples"],
                noise_mask=latent["noise_mask"],
                seed=0,
                disable_pbar=True,
            )
            if not name.endswith("camera")
            else latent["samples"]
        )
        assert made.shape == latent["samples"].shape and made.isfinite().all(), name


def check_a_proposal_fills_unknown_cells() -> None:
    guess = torch.rand(VIEWS * TIMES, 2 * PIXELS, 2 * PIXELS, 3, generator=torch.Generator().manual_seed(3))
    plain, filled = latent_of("wan_t2v"), prepared("wan_t2v", proposal=guess)[2]["samples"]
    frame_grid = grid(known=torch.ones(VIEWS, TIMES, dtype=torch.bool))
    from_grid = prepared("wan_t2v", proposal=frame_grid)[2]["samples"]
    known = grid().known
    for made in (filled, from_grid):
        assert torch.equal(made.movedim(1, -1)[known], plain.movedim(1, -1)[known])
        assert made[1, :, 1].std() > 1e-3
    text = families.conditioning("wan_t2v", 3)
    for name in (("sampler", "ParallelSyncSampler"), ("extend_grid", "ExtendGrid")):
        with refused("a denoise of 0.6 and no proposal", "'Render 4D Scene'"):
            node(*name).execute(families.build("wan_t2v", torch.float32), FakeVae(16), grid(), text, text, denoise=0.6)
    with refused("a proposal of 5 cells for a grid of 3 views and 4 times"):
        prepared("wan_t2v", proposal=guess[:5])


def check_conditioning_refuses_grids_without_a_task() -> None:
    execute = node("freeze_time_conditioning", "FreezeTimeConditioning").execute
    model, text = families.build("wan_t2v", torch.float32), families.conditioning("wan_t2v", 3)
    every = torch.ones(VIEWS, TIMES, dtype=torch.bool)
    place = "change 'Frame Grid from Videos'"
    with refused("every cell is known", place):
        execute(model, FakeVae(16), grid(known=every), text, text)
    with refused("no cell is known", place):
        execute(model, FakeVae(16), grid(known=~every), text, text)
    for cells, what in ((every[:1], "1 view"), (every[:, :1], "1 time")):
        whole = grid()
        piece = type(whole)(whole.frames[: len(cells), : cells.shape[1]], cells & whole.known[:1, :1], whole.valid)
        with refused(f"a grid of {what}", place):
            execute(model, FakeVae(16), piece, text, text)
        for name in ("sampler", "extend_grid"):
            whole_job = node(name, {"sampler": "ParallelSyncSampler", "extend_grid": "ExtendGrid"}[name])
            with refused(f"a grid of {what}", place):
                whole_job.execute(model, FakeVae(16), piece, text, text)
    with refused("frames of 36 x 36 pixels", "multiples of 16 x 16, such as 32 x 32", "'Frame Grid from Videos'"):
        execute(model, FakeVae(16), grid(size=36), text, text)
    with refused("a VAE that makes latents", "the VAE that belongs to the model", "'Load VAE'"):
        execute(model, FakeVae(48), grid(), text, text)


def check_strength_is_plotted() -> None:
    strength = node("sync_strength", "SyncStrength")
    positive, _, latent = prepared("wan_t2v")
    model = families.build("wan_t2v", torch.float32)
    with refused("without sync layers", "'Apply Parallel Sync'"):
        strength.execute(model, positive, latent, 2, 0)
    if importlib.util.find_spec("matplotlib") is None:  # ComfyUI itself doesn't need it
        with refused("no package matplotlib", "pip install matplotlib"):
            strength.execute(apply_sync(model), positive, latent, 2, 0)
        return
    (plot,) = outputs(strength.execute(apply_sync(model), positive, latent, 2, 0))
    assert plot.ndim == 4 and plot.shape[0] == 1 and plot.shape[-1] == 3 and plot.min() >= 0 and plot.max() <= 1
    assert plot.std() > 0.05


def check_previews_are_walls() -> None:
    import latent_preview

    latent_preview.args.preview_method = latent_preview.LatentPreviewMethod.Auto
    latent_preview.default_preview_method = latent_preview.args.preview_method
    model = apply_sync(families.build("wan_t2v", torch.float32))
    positive, negative, latent = prepared("wan_t2v")
    shown: list[tuple[int, int]] = []
    comfy.utils.set_progress_bar_global_hook(
        lambda value, total, picture, **rest: shown.append(picture[1].size) if picture else None
    )
    nodes.KSampler().sample(model, positive=positive, negative=negative, latent_image=latent, denoise=1.0, **SETTINGS)
    # after every step the host's own preview of one cell, and then the wall
    assert shown == [(4, 4), (TIMES * 4, VIEWS * 4)] * 2


run_checks(dict(globals()))
