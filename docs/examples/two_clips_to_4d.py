"""Two short clips in; the completed frame grid, a 4D scene and a video of it out.

python docs/examples/two_clips_to_4d.py around.mp4 moving.mp4 out
"""

from __future__ import annotations

import argparse
from pathlib import Path

import fourreal_core as fr


def main(arguments: list[str] | None = None) -> None:
    """Runs the whole job on two clips."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("freeze_time", type=Path, help="the camera moves around a scene that stands still")
    parser.add_argument("fixed_view", type=Path, help="the camera stands, and time runs")
    parser.add_argument("out", type=Path, help="folder for the results")
    parser.add_argument("--views", type=int, default=8, help="frames to take of the first clip")
    parser.add_argument("--times", type=int, default=8, help="frames to take of the second clip")
    args = parser.parse_args(arguments)

    # (V, H, W, 3) and (T, H, W, 3), RGB in [0, 1]
    around, moving = fr.read_clip_pair(args.freeze_time, args.fixed_view, views=args.views, times=args.times)
    grid = fr.FrameGrid.from_clips(around, moving)
    result = fr.run_pipeline(grid, fr.PipelineOptions(seed=0), stages=announce)

    args.out.mkdir(parents=True, exist_ok=True)
    for view in range(result.grid.views):  # the grid is (V, T, H, W, 3), given cells untouched
        fr.write_video(result.grid.frames[view], args.out / f"view_{view}.mp4")
    fr.save_scene(result.scene, args.out / "scene.safetensors")
    fr.write_video(fr.bullet_time(result.scene, frames=4 * grid.times), args.out / "bullet_time.mp4", fps=16)


def announce(stage: str) -> fr.OnStep:
    """Prints how far each stage is; raising an exception in here would cancel the work."""

    def on_step(done: int, total: int, preview: object = None) -> None:
        print(f"{stage}: {done} of {total}", flush=True)

    return on_step


if __name__ == "__main__":
    main()
