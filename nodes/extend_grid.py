"""A grid that is larger than what a model sees at once, chunk after chunk."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import folder_paths
import torch
from comfy_api.latest import io
from torch import Tensor

from ..fourreal_core.grid import FrameGrid
from ..fourreal_core.progress import OnStep, no_progress
from .compat import advanced, schema
from .devices import plain_tensors
from .freeze_time_conditioning import check_prompts, prompt_inputs, proposal_frames, proposal_input
from .grid_sampling import SamplerSettings, check_start, level_input, sampler_inputs
from .parallel_sync import SyncSettings, synchronized
from .per_frame_vae import at_once, decode_alone
from .progress import HostProgress
from .wires import GridWire

if TYPE_CHECKING:
    from ..fourreal_core.sampling.chunks import Chunk, ChunkOptions, ChunkPlan
    from ..fourreal_core.sampling.stores import FolderStore
    from .grid_latents import GridLatents

UNFINISHED = "4real_unfinished"
"""Folder in the host's output folder in which chunks wait until their grid is complete."""
FAR = ("first", "overlap", "none")
Cells = dict[tuple[int, int], Tensor]


class ExtendGrid(io.ComfyNode):
    """All cells of a long or a wide grid."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """See ComfyNode."""
        return schema(
            node_id="FourRealExtendGrid",
            display_name="Extend 4D Grid",
            branch="model",
            search_aliases=[
                "4real",
                "long video",
                "autoregressive",
                "outpaint time",
                "4d video",
                "more views",
                "more frames",
                "chunks",
            ],
            description="Completes a grid with more views or times than the model sees at once, such as 8 views of 120 "
            "times: chunk after chunk, each beside the last finished cells and some far ones. Finished "
            "chunks wait in output/4real_unfinished; queue the same again after a cancel or a crash, and "
            "it goes on from them.",
            inputs=[
                io.Model.Input(
                    "model",
                    tooltip="A 4Real model, or a native one behind 'Apply Parallel Sync'; one "
                    "without it gets its defaults.",
                ),
                io.Vae.Input("vae", tooltip="The model's VAE."),
                GridWire.Input("grid", tooltip="The grid with its known cells, of the full size."),
                *prompt_inputs(),
                *sampler_inputs(),
                io.Int.Input("window_views", default=8, min=2, max=256, tooltip="Views that the model sees at once."),
                io.Int.Input("window_times", default=8, min=2, max=256, tooltip="Times that the model sees at once."),
                io.Int.Input(
                    "keep",
                    default=4,
                    min=1,
                    max=4,
                    tooltip="Finished columns, or rows, that a chunk sees before its new ones.",
                ),
                advanced(
                    io.Combo.Input(
                        "far",
                        options=list(FAR),
                        default=FAR[0],
                        optional=True,
                        tooltip="What a chunk "
                        "sees beside those, against forgetting: the first column, the one that looks "
                        "most like what comes, or none.",
                    )
                ),
                proposal_input(),
                level_input(),
            ],
            outputs=[GridWire.Output(display_name="grid")],
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
        window_views: int = 8,
        window_times: int = 8,
        keep: int = 4,
        far: str = FAR[0],
        proposal: Any = None,
        start_noise: float = 0.0,
    ) -> io.NodeOutput:
        """See ComfyNode."""
        from ..fourreal_core.sampling.chunks import ChunkOptions

        settings = SamplerSettings(seed, steps, cfg, sampler_name, scheduler, denoise, start_noise)
        given = None if proposal is None else proposal_frames(proposal, grid)
        options = ChunkOptions(window_views, window_times, keep, far)
        return io.NodeOutput(extended(model, vae, grid, (positive, negative), settings, options, given))


def extended(
    model: Any,
    vae: Any,
    grid: FrameGrid,
    prompts: tuple[Any, Any],
    settings: SamplerSettings,
    options: ChunkOptions,
    given: Tensor | None = None,
) -> FrameGrid:
    """The grid with every cell made.

    Args:
        model: The host's MODEL.
        vae: Its VAE.
        grid: The grid with its known cells.
        prompts: Positive and negative CONDITIONING, or None each.
        settings: KSampler's settings.
        options: How the grid is cut.
        given: A proposal ``(V, T, H, W, 3)``, or None.

    Raises:
        InputError: What 'Freeze-Time Conditioning' refuses, windows without room for new cells, or a denoise below 1
            with nothing to start from.
    """
    from ..fourreal_core.sampling.extend import GivenFrames, extend
    from ..fourreal_core.sampling.stores import FolderStore
    from .chunk_sampling import ChunkSampler
    from .grid_latents import GridLatents
    from .host_models.grid_preview import WallPictures
    from .host_models.patch import streams_of
    from .host_models.registry import host_model

    if streams_of(model) is None and not host_model(model).runs_grids:
        model = synchronized(model, SyncSettings())
    grid, latents = replace(grid), GridLatents(model, vae)  # unpacked once, for every chunk
    check_prompts(latents.family, *prompts)
    check_start(settings, latents.family, given)
    latents.check(grid)
    start = _encoded(latents, grid)
    plan = _plan(grid, options, start)
    progress = HostProgress(len(plan.chunks))
    parts = {chunk: number for number, chunk in enumerate(plan.chunks)}

    def begin(chunk: Chunk) -> OnStep:
        return progress.part(parts[chunk], _chunk_name(parts[chunk], len(parts), chunk))

    folder = Path(folder_paths.get_output_directory(), UNFINISHED, _key(model, plan, start, prompts, settings, given))
    store = FolderStore(folder, plan)
    draw = ChunkSampler(model, vae, latents, grid, prompts, settings, given, begin)

    def finished(done: int, total: int, preview: Tensor | None = None) -> None:
        show = WallPictures(model, progress.part(done - 1))
        made = _made_by(store, plan.chunks[done - 1])
        show(0, model.get_model_object("latent_format").process_in(made), made, 1)

    extend(plan, GivenFrames(grid.known.cpu(), start), draw, store, settings.seed, finished)
    frames = _decoded(vae, grid, store)
    store.delete()
    return replace(grid, frames=frames).packed()


def _chunk_name(number: int, count: int, chunk: Chunk) -> str:
    views, times = chunk.window.views, chunk.window.times
    return f"Chunk {number + 1} of {count}, views {views[0]} to {views[-1]}, times {times[0]} to {times[-1]}"


def _made_by(store: FolderStore, chunk: Chunk) -> Tensor:
    """Latents ``(v, C, t, h, w)`` of the cells that a chunk finished."""
    cells = store.read(chunk.cells)
    return cells.unflatten(0, (len(chunk.new_views), len(chunk.new_times))).transpose(1, 2)


def _encoded(latents: GridLatents, grid: FrameGrid) -> Cells:
    cells = [(v, t) for v, t in grid.known.nonzero().tolist()]
    encoded = latents.encode([grid.frames[v, t] for v, t in cells], HostProgress().part())
    return dict(zip(cells, encoded, strict=True))


def _plan(grid: FrameGrid, options: ChunkOptions, start: Cells) -> ChunkPlan:
    from ..fourreal_core.sampling.chunks import frame_likeness, plan_chunks

    column, row = (
        [start.get(cell) for cell in cells]
        for cells in (((v, 0) for v in range(grid.views)), ((0, t) for t in range(grid.times)))
    )
    view_likeness, time_likeness = (
        frame_likeness(torch.stack(line)) if all(x is not None for x in line) else None for line in (column, row)
    )
    return plan_chunks(grid.views, grid.times, options, view_likeness, time_likeness)


def _key(
    model: Any, plan: ChunkPlan, start: Cells, prompts: tuple[Any, Any], settings: SamplerSettings, given: Tensor | None
) -> str:
    """A name for all that the chunks depend on."""
    from ..fourreal_core.sampling.run_key import run_key
    from .host_models.identity import identity

    return run_key(
        model=identity(model),
        plan=plan.digest(),
        start={f"{v} {t}": x for (v, t), x in start.items()},
        prompts=prompts,
        settings=asdict(settings),
        given=given,
    )


def _decoded(vae: Any, grid: FrameGrid, store: FolderStore) -> Tensor:
    """Frames ``(V, T, H, W, 3)``: the known ones as they are, the others decoded a few at a time into one tensor."""
    on_step, cells = HostProgress().part(), (~grid.known).nonzero().tolist()
    with plain_tensors():
        frames = grid.frames.clone()
    count = at_once(vae, *grid.size)
    for start in range(0, len(cells), count):
        some = cells[start : start + count]
        made = decode_alone(vae, store.read([(v, t) for v, t in some])[:, :, None], no_progress)[:, 0]
        with plain_tensors():
            for (view, time), frame in zip(some, made, strict=True):
                frames[view, time] = frame
        on_step(start + len(some), len(cells), made[-1])
    return frames
