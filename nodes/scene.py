"""The 4D scene: canonical splats from tracks, floaters pruned, the motion fitted."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from ..fourreal_core.grid import FrameGrid
from ..fourreal_core.scene.scene4d import Scene4D
from .compat import schema
from .compilation import compile_first
from .devices import compute_device, place, plain_tensors
from .memory import warn_of_memory
from .progress import COMPLETION, FLOATERS, MOTION, REFIT, HostProgress
from .wires import ClipTracks, GridWire, SceneWire, TracksWire, flows_for, kept_flow, of_grid, proposed


class CanonicalSplats(io.ComfyNode):
    """Tracked points merged into one set of splats in the space of the central view."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """See ComfyNode."""
        return schema(
            node_id="FourRealCanonicalSplats",
            display_name="Canonical Splats",
            branch="scene",
            search_aliases=[
                "4real",
                "gaussian splatting",
                "3dgs",
                "point cloud to splats",
                "points to splats",
                "gaussians",
            ],
            description="Turns tracked points into isotropic Gaussian splats, aligned to the central view of the "
            "freeze-time clip. The scene does not move yet.",
            inputs=[TracksWire.Input("tracks", tooltip="3D tracks of both clips.")],
            outputs=[SceneWire.Output(display_name="scene")],
        )

    @classmethod
    def execute(cls, tracks: ClipTracks) -> io.NodeOutput:
        """See ComfyNode."""
        from ..fourreal_core.reconstruction.canonical import canonical_scene

        if tracks.views.depth is None:  # it is rendered then
            compile_first(torch.device("cpu"), gradients=False)
        with plain_tensors():
            scene = canonical_scene(tracks.views, tracks.times.frames)
            return io.NodeOutput(of_grid(scene, tracks.flow))


class PruneFloaters(io.ComfyNode):
    """Splats that the freeze-time frames contradict are removed."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """See ComfyNode."""
        return schema(
            node_id="FourRealPruneFloaters",
            display_name="Prune Floaters",
            branch="scene",
            search_aliases=["4real", "clean splats", "remove floaters", "opacity", "remove noise", "clean gaussians"],
            description="Renders every frame of the freeze-time clip from the splats, fits their opacity, and removes "
            "those that fade away.",
            inputs=[
                SceneWire.Input("scene", tooltip="A scene of canonical splats."),
                GridWire.Input("grid", tooltip="The grid the scene was made from."),
            ],
            outputs=[SceneWire.Output(display_name="scene")],
        )

    @classmethod
    def execute(cls, scene: Scene4D, grid: FrameGrid) -> io.NodeOutput:
        """See ComfyNode."""
        from ..fourreal_core.reconstruction.floaters import prune_floaters

        progress, device = HostProgress(), compute_device(scene, grid)
        compile_first(device, gradients=True)
        with plain_tensors(gradients=True):
            pruned = prune_floaters(
                place(scene, device),
                grid.freeze_time.to(device),
                grid.valid.to(device),
                on_step=progress.part(name=FLOATERS),
            )
            return io.NodeOutput(of_grid(place(pruned), getattr(scene, "flow", None)))


class FitDeformation(io.ComfyNode):
    """The motion of the scene, fitted to every known cell."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """See ComfyNode."""
        from ..fourreal_core.reconstruction.fit_deformation import FitOptions
        from ..fourreal_core.reconstruction.refit import RefitOptions

        defaults = FitOptions()
        return schema(
            node_id="FourRealFitDeformation",
            display_name="Fit Deformation",
            branch="scene",
            search_aliases=[
                "4real",
                "dynamic splats",
                "deformable gaussians",
                "motion",
                "4d gaussian splatting",
                "4dgs",
                "animate splats",
            ],
            description="Fits how the splats move in time, so that the rendered scene matches every known cell of the "
            "grid.",
            inputs=[
                SceneWire.Input("scene", tooltip="The scene to set in motion."),
                GridWire.Input("grid", tooltip="The grid with its known cells, or a completed one."),
                TracksWire.Input(
                    "tracks",
                    optional=True,
                    tooltip="The tracks the scene was made from; those of the "
                    "fixed-view clip are where the motion starts.",
                ),
                io.Int.Input(
                    "steps",
                    default=defaults.steps,
                    min=0,
                    max=100_000,
                    tooltip="Optimisation steps by rendering, one known cell each; more take longer and fit closer.",
                ),
                io.Int.Input(
                    "seed",
                    default=defaults.seed,
                    min=0,
                    max=2**63 - 1,
                    control_after_generate=False,
                    tooltip="Start of the random numbers; the same seed gives the same scene on one machine.",
                ),
                io.Int.Input(
                    "refit",
                    default=RefitOptions().steps,
                    min=0,
                    max=100_000,
                    optional=True,
                    tooltip="Optimisation steps more, after the missing cells are completed, on all cells of the grid: "
                    "what one flies through is then as good as the grid. 0 fits the known cells only.",
                ),
            ],
            outputs=[SceneWire.Output(display_name="scene")],
        )

    @classmethod
    def execute(
        cls,
        scene: Scene4D,
        grid: FrameGrid,
        steps: int,
        seed: int,
        tracks: ClipTracks | None = None,
        refit: int | None = None,
    ) -> io.NodeOutput:
        """See ComfyNode."""
        from ..fourreal_core.proposals.complete_grid import completion
        from ..fourreal_core.reconstruction.fit_deformation import FitOptions, fit_deformation
        from ..fourreal_core.reconstruction.refit import RefitOptions, refit_scene

        again = RefitOptions(seed=seed) if refit is None else RefitOptions(steps=refit, seed=seed)
        progress, device = HostProgress(3 if again.steps else 1), compute_device(scene, grid)
        compile_first(device, gradients=True)
        with plain_tensors(gradients=True):
            times = place(tracks.times, device) if tracks is not None else None
            grid = place(grid)
            memory = warn_of_memory(grid)
            flows, given = flows_for(grid, tracks, scene), place(grid, device)
            fitted = fit_deformation(
                place(scene, device),
                given,
                times,
                FitOptions(steps=steps, seed=seed),
                on_step=progress.part(name=MOTION),
                flows=flows,
            )
            if again.steps == 0:
                return io.NodeOutput(of_grid(place(fitted), kept_flow(flows)), ui=memory)
            made = completion(fitted, given, on_step=progress.part(1, COMPLETION), flows=flows)
            flow = kept_flow(flows)
            del flows
            fitted = refit_scene(fitted, made.grid, made.error_gray, again, on_step=progress.part(2, REFIT))
            return io.NodeOutput(of_grid(place(fitted), flow, proposed(place(made))), ui=memory)
