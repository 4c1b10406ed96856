"""Run by the host's interpreter: grids that are larger than what a model sees at once.

Every function ``check_...`` is one check; the test file finds them by name.
"""

from __future__ import annotations

import host_process

host_process.enter_host()

import contextlib  # noqa: E402 - the host reads its arguments before anything else
import tempfile  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import comfy.model_management  # noqa: E402
import comfy.utils  # noqa: E402
import families  # noqa: E402
import folder_paths  # noqa: E402
import torch  # noqa: E402
from checks import apply_sync, left_over, node, outputs, refused, run_checks, tiny_vae  # noqa: E402
from own_models import STEPS, conditioned, core, loaded, random_model  # noqa: E402

import nodes  # noqa: E402

VIEWS, TIMES, SIZE = 4, 9, 16
SETTINGS = {"seed": 11, "steps": STEPS, "cfg": 1.0, "sampler_name": "euler", "scheduler": "simple"}
WINDOW = {"window_views": 3, "window_times": 4, "keep": 1}
CHUNKS = 2 * 4
"""Views 0-2 and 3; times 0-3, 4-5, 6-7 and 8, each time block beside the first column and the last one."""
ROUNDING = 1e-4
"""As for a single grid, and accumulated from chunk to chunk; another seed gives above 0.1."""
FLIPPED = 5e-3
"""Flow between finished cells is measured in 8-bit grey, where such a rounding can flip a level."""


def grid(views: int = VIEWS, times: int = TIMES, size: int = SIZE) -> Any:
    generator = torch.Generator().manual_seed(9)
    freeze, fixed = (torch.rand(count, size, size, 3, generator=generator) for count in (views, times))
    freeze[0] = fixed[0]
    return core("grid").FrameGrid.from_clips(freeze, fixed)


@contextlib.contextmanager
def output_folder() -> Iterator[Path]:
    before = folder_paths.get_output_directory()
    with tempfile.TemporaryDirectory() as folder:
        folder_paths.set_output_directory(folder)
        try:
            yield Path(folder, "4real_unfinished")
        finally:
            folder_paths.set_output_directory(before)


def extended(model: Any, vae: Any, given: Any, **changes: Any) -> Any:
    return outputs(node("extend_grid", "ExtendGrid").execute(model, vae, given, **SETTINGS | WINDOW | changes))[0]


def by_core(own: Any, given: Any, seed: int, proposals: bool = False) -> torch.Tensor:
    """Frames that the core's extension makes, with the host's noise for each chunk's seed."""
    chunks, extend, stores = core("sampling.chunks"), core("sampling.extend"), core("sampling.stores")
    flows, complete = core("sampling.rectified_flow"), core("sampling.complete")
    codec = core("model.codec").SpaceToDepth(own.spec.dit.subpixel)
    plan = chunks.plan_chunks(given.views, given.times, chunks.ChunkOptions(3, 4, 1, "first"))
    assert len(plan.chunks) == CHUNKS
    store = stores.MemoryStore(plan)

    def draw(known: Any, chunk: Any, generator: Any) -> torch.Tensor:
        shape = known.latents[0].transpose(1, 2).shape
        noise = torch.randn(shape, generator=torch.manual_seed(generator.initial_seed()))
        shown = None
        if proposals:
            frames, mask = codec.decode(known.latents[0]), known.mask[0]
            shown = core("proposals.model_inputs").model_inputs(frames, mask, own.spec.dit.proposals)
            shown = codec.encode(shown).movedim(0, 2).flatten(2, 3)[None]
        velocity = complete.model_velocity(own, known.mask, complete.Condition4D(proposal=shown))
        return flows.integrate(
            velocity, noise.transpose(1, 2)[None], flows.schedule(flows.SamplingOptions(steps=STEPS)), known
        )

    start = extend.StartClips(codec.encode(given.freeze_time), codec.encode(given.fixed_view))
    extend.extend(plan, start, draw, store, seed)
    cells = [(v, t) for v in range(given.views) for t in range(given.times)]
    return codec.decode(store.read(cells)).unflatten(0, (given.views, given.times))


def check_an_extension_is_the_cores() -> None:
    given = grid()
    for dit in ({}, {"subpixel": 2}, {"proposals": 2}, {"proposals": 3}):
        own = random_model(**dit)
        model, vae = loaded(own)
        with output_folder() as folder:
            made = extended(model, vae, given)
            assert not any(folder.iterdir())  # nothing is left of a finished one
        expected = by_core(own, given, SETTINGS["seed"], bool(dit.get("proposals")))
        assert (made.frames - expected)[~given.known].abs().max() < (FLIPPED if "proposals" in dit else ROUNDING)
        assert torch.equal(made.frames[given.known], given.frames[given.known]) and not made.frames.is_inference()
        assert torch.equal(made.known, given.known) and made.frames[~given.known].std() > 0.01
        other = by_core(own, given, SETTINGS["seed"] + 1, bool(dit.get("proposals")))
        assert (made.frames - other)[~given.known].abs().max() > 0.1


def check_one_window_is_one_sampling() -> None:
    model, vae = loaded(random_model())
    given = grid(3, 4)
    with output_folder():
        made = extended(model, vae, given)
    seed = core("sampling.extend").chunk_seed(SETTINGS["seed"], 0)
    one, *_ = outputs(node("sampler", "ParallelSyncSampler").execute(model, vae, given, **SETTINGS | {"seed": seed}))
    assert torch.equal(made.frames, one.frames)


class Counted:
    """How often the host's sampler ran; cancels during the call of some number."""

    def __init__(self, cancel_in: int = 0) -> None:
        self.calls, self.cancel_in = 0, cancel_in
        self.module = host_process.part("nodes.chunk_sampling")

    def __enter__(self) -> Counted:
        self.sample = self.module.sample

        def counted(*args: Any) -> torch.Tensor:
            self.calls += 1
            if self.calls == self.cancel_in:
                comfy.model_management.interrupt_current_processing()
            return self.sample(*args)

        self.module.sample = counted
        return self

    def __exit__(self, *error: Any) -> None:
        self.module.sample = self.sample
        comfy.model_management.interrupt_current_processing(False)


def check_a_cancelled_extension_goes_on() -> None:
    given = grid()
    model, vae = loaded(random_model())
    with output_folder() as folder:
        whole = extended(model, vae, given)
        with Counted(cancel_in=4) as first:
            try:
                extended(model, vae, given)
            except comfy.model_management.InterruptProcessingException:
                pass
            else:
                raise AssertionError("the cancel was lost")
        assert first.calls == 4 and len(list(folder.glob("*/chunk_*.safetensors"))) == 3
        again, _ = loaded(random_model())  # as after a restart of the host: another object, the same weights
        with Counted() as other:
            extended(again, vae, given, seed=12)
        assert other.calls == CHUNKS  # another seed is another extension
        with Counted() as second:
            made = extended(again, vae, given)
        assert second.calls == CHUNKS - 3 and torch.equal(made.frames, whole.frames)
        assert not any(folder.iterdir()) and not left_over()


def check_what_makes_another_extension() -> None:
    """Chunks are only taken up where the same model would have made them."""
    import comfy.sd

    identity, key = host_process.part("nodes.host_models.identity").identity, core("sampling.run_key").run_key
    model, vae = loaded(random_model())
    generator = torch.Generator().manual_seed(2)
    lora = {
        "diffusion_model.dit.blocks.1.attention.qkv.lora_up.weight": torch.randn(72, 2, generator=generator),
        "diffusion_model.dit.blocks.1.attention.qkv.lora_down.weight": torch.randn(2, 24, generator=generator),
    }
    others = [
        loaded(random_model(seed=6))[0],
        comfy.sd.load_lora_for_models(model, None, lora, 0.5, 0.0)[0],
        comfy.sd.load_lora_for_models(model, None, lora, 0.6, 0.0)[0],
        apply_sync(model, variant="soft"),
        apply_sync(model, variant="soft", first_layer=1),
        apply_sync(model, variant="hard"),
    ]
    keys = [key(model=identity(each)) for each in (model, *others)]
    assert len(set(keys)) == len(keys)
    made = conditioned(model, vae, grid(3, 4))
    for each in (others[1], model):  # the host writes LoRAs into the weights, and takes them out again
        nodes.KSampler().sample(each, positive=made[0], negative=made[1], latent_image=made[2], denoise=1.0, **SETTINGS)
        assert [key(model=identity(again)) for again in (model, *others)] == keys


def check_far_cells_and_wide_grids() -> None:
    model, vae = loaded(random_model())
    given = grid(7, 5)
    with output_folder():
        results = {far: extended(model, vae, given, far=far).frames for far in ("first", "overlap", "none")}
    assert all(frames.isfinite().all() for frames in results.values())
    assert not torch.equal(results["first"], results["none"])
    few = grid()
    sparse = type(few)(few.frames, few.known & (torch.arange(TIMES) < 5), few.valid)
    with output_folder(), refused("far cells by overlap", "choose the first"):
        extended(model, vae, sparse, far="overlap")


def check_a_proposal_is_cut_for_every_chunk() -> None:
    model, vae = loaded(random_model())
    given, guess = grid(), torch.rand(VIEWS * TIMES, SIZE, SIZE, 3, generator=torch.Generator().manual_seed(3))
    with output_folder():
        made = extended(model, vae, given, proposal=guess, denoise=0.0)
    # no step at all: what was proposed is what comes out, to the codec's rounding of floats that are no 8-bit values
    assert (made.frames - guess.view(given.frames.shape))[~given.known].abs().max() < 1e-6


def check_native_models_extend_too() -> None:
    vae, given = tiny_vae(), grid(3, 6, 32)
    model = families.build("wan_t2v", torch.float32)
    text = families.conditioning("wan_t2v", 3)
    with output_folder():
        first = extended(model, vae, given, positive=text, negative=text, steps=2)
        patched = extended(apply_sync(model), vae, given, positive=text, negative=text, steps=2)
        assert torch.equal(first.frames, patched.frames)  # without the patch it gets the patch's defaults
        assert torch.equal(first.frames[given.known], given.frames[given.known]) and first.frames.isfinite().all()
        with refused("no positive and negative prompt for Wan"):
            extended(model, vae, given)
        with refused("room for new cells in a window"):
            extended(model, vae, given, positive=text, negative=text, keep=3)


def check_progress_runs_through_once() -> None:
    import latent_preview

    latent_preview.args.preview_method = latent_preview.LatentPreviewMethod.Auto
    latent_preview.default_preview_method = latent_preview.args.preview_method
    progress = host_process.part("nodes.progress")
    progress.PREVIEW_SECONDS = 0.0
    model, vae = loaded(random_model())
    reported: list[tuple[float, Any]] = []
    comfy.utils.set_progress_bar_global_hook(
        lambda value, total, picture, **rest: reported.append((value / total, picture[1].size if picture else None))
    )
    extend_grid, finished = host_process.part("nodes.extend_grid"), []
    made_by = extend_grid._made_by
    extend_grid._made_by = lambda store, chunk: finished.append(chunk) or made_by(store, chunk)
    try:
        with output_folder():
            extended(model, vae, grid())
    finally:
        extend_grid._made_by = made_by
    comfy.utils.set_progress_bar_global_hook(None)
    values = [value for value, _ in reported]
    assert sum(b < a for a, b in zip(values, values[1:], strict=False)) == 2  # encoding, sampling, decoding
    walls = [size for _, size in reported if size not in (None, (SIZE, SIZE))]
    windows = {(len(c.window.times) * SIZE, len(c.window.views) * SIZE) for c in finished}  # while a chunk is sampled
    cells = {(len(c.new_times) * SIZE, len(c.new_views) * SIZE) for c in finished}  # and what it has finished
    assert windows <= {(times * SIZE, views * SIZE) for times in (3, 4) for views in (3,)}
    assert len(finished) > 2 and set(walls) == (windows | cells) - {(SIZE, SIZE)}  # which single frames have, too


run_checks(dict(globals()))
