"""``fourreal run`` with a stand-in for the pipeline: inputs reach it as given, outputs are complete and exact."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fourreal_core import job_memory
from fourreal_core.cli import main
from fourreal_core.cli.arguments import OUTPUT_NAMES
from fourreal_core.errors import InputError
from fourreal_core.geometry.camera_fit import FrameMotion
from fourreal_core.geometry.camera_motion import CameraMotion
from fourreal_core.media import read_clip, read_image, save_image
from fourreal_core.pipeline import QUALITIES, quality_options
from fourreal_core.reconstruction.refit import RefitOptions


def outputs(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_a_run_leaves_every_output_and_nothing_else(tmp_path, two_clips, pipeline):
    assert main([*two_clips, "-o", str(tmp_path / "out"), "--quiet"]) == 0
    cells = {f"grid/v{v}_t{t}.png" for v in range(3) for t in range(4)}
    assert outputs(tmp_path / "out") == cells | set(OUTPUT_NAMES)


def test_given_cells_come_back_bit_for_bit(tmp_path, two_clips, pipeline, pictures):
    more = tmp_path / "more"
    more.mkdir()
    cell = pictures(1)[0]
    save_image(cell, more / "v2_t3.png")
    assert main([*two_clips, "-o", str(tmp_path / "out"), "--grid", str(more), "--quiet"]) == 0
    freeze, fixed = read_clip(tmp_path / "freeze"), read_clip(tmp_path / "fixed")
    grid = tmp_path / "out" / "grid"
    for v in range(1, 3):
        assert torch.equal(read_image(grid / f"v{v}_t0.png"), freeze[v])
    for t in range(4):
        assert torch.equal(read_image(grid / f"v0_t{t}.png"), fixed[t])
    assert torch.equal(read_image(grid / "v2_t3.png"), cell)
    assert pipeline.grid.known.tolist() == [[True] * 4, [True, False, False, False], [True, False, False, True]]


def test_given_cells_are_exact_also_where_they_were_resized(tmp_path, two_clips, pipeline):
    assert main([*two_clips, "-o", str(tmp_path / "out"), "--size", "40x36", "--quiet"]) == 0
    assert torch.equal(read_image(tmp_path / "out" / "grid" / "v1_t0.png"), pipeline.grid.frames[1, 0])
    assert pipeline.grid.size == (36, 40)


def test_odd_sizes_keep_their_cells_and_pad_their_videos(tmp_path, two_clips, pipeline):
    assert main([*two_clips, "-o", str(tmp_path / "out"), "--size", "47x33", "--quiet"]) == 0
    assert read_image(tmp_path / "out" / "grid" / "v1_t1.png").shape == (33, 47, 3)
    assert read_clip(tmp_path / "out" / "freeze_time.mp4").shape == (3, 34, 48, 3)


@pytest.mark.parametrize("fit", [None, "crop", "pad", "stretch"])
def test_clips_of_another_shape_are_fitted_as_asked(tmp_path, clip_folder, pipeline, capsys, fit):
    args = ["run", "--freeze-time", str(clip_folder("a", 3, 64, 36)), "--fixed-view", str(clip_folder("b", 3, 36, 64))]
    more = [] if fit is None else ["--fit", fit]
    assert main([*args, "-o", str(tmp_path / "out"), "--size", "64x36", *more]) == 0
    grid, told = pipeline.grid, capsys.readouterr().err
    for path, clip in ((tmp_path / "a", grid.freeze_time[1:]), (tmp_path / "b", grid.fixed_view)):
        assert torch.equal(clip, read_clip(path, (36, 64), fit=fit or "crop")[-len(clip) :])
    assert ("a is 36 x 64 pixels and the frames are 64 x 36" in told) == (fit != "stretch")
    assert "b is 64 x 36" not in told
    assert float(grid.valid.float().mean()) == pytest.approx(0.3125 if fit == "pad" else 1.0, abs=0.02)


def test_masks_and_cells_go_the_way_of_the_clips(tmp_path, clip_folder, pipeline, pictures):
    (tmp_path / "cells").mkdir()
    cell = pictures(1, 64, 36)[0]
    save_image(cell, tmp_path / "cells" / "v1_t1.png")
    mask = torch.ones(64, 36, 3)
    mask[28:36] = 0
    save_image(mask, tmp_path / "mask.png")
    args = ["run", "--freeze-time", str(clip_folder("a", 3, 64, 36)), "--fixed-view", str(clip_folder("b", 3, 64, 36))]
    more = ["--mask", str(tmp_path / "mask.png"), "--grid", str(tmp_path / "cells"), "--size", "64x36", "--quiet"]
    assert main([*args, "-o", str(tmp_path / "out"), *more]) == 0
    assert torch.equal(pipeline.grid.frames[1, 1], read_clip(tmp_path / "cells" / "v1_t1.png", (36, 64))[0])
    assert pipeline.grid.valid[:8].all() and not pipeline.grid.valid[14:22].any()


def test_options_reach_the_pipeline(tmp_path, clip_folder, pipeline):
    mask = torch.ones(32, 48, 3)
    mask[:5] = 0
    save_image(mask, tmp_path / "mask.png")
    args = [
        "run",
        "--freeze-time",
        str(clip_folder("a", 12)),
        "--fixed-view",
        str(clip_folder("b", 5)),
        "-o",
        str(tmp_path / "out"),
        "--views",
        "4",
        "--mask",
        str(tmp_path / "mask.png"),
        "--seed",
        "7",
        "--device",
        "cpu",
    ]
    assert main([*args, "--quiet"]) == 0
    assert (pipeline.grid.views, pipeline.grid.times) == (4, 5)
    assert torch.equal(pipeline.grid.freeze_time[3], read_clip(tmp_path / "a")[11])
    assert (~pipeline.grid.valid).sum() == 5 * 48 and not pipeline.grid.valid[:5].any()
    assert (pipeline.options.seed, pipeline.options.device) == (7, "cpu")


def test_quality_and_refit_reach_the_pipeline(tmp_path, two_clips, pipeline, capsys):
    assert main([*two_clips, "-o", str(tmp_path / "a"), "--quality", "draft", "--json"]) == 0
    assert pipeline.options.refit == quality_options("draft").refit and pipeline.options.seed == 0
    assert json.loads(capsys.readouterr().out)["quality"] == "draft"
    assert main([*two_clips, "-o", str(tmp_path / "b"), "--refit", "3", "--quiet"]) == 0
    assert pipeline.options == replace(
        quality_options("normal"), refit=RefitOptions(steps=3), seed=0, device=pipeline.options.device
    )
    for quality in QUALITIES:  # the parser names them itself: what defines them loads torch
        assert main([*two_clips, "-o", str(tmp_path / quality), "--quality", quality, "--quiet"]) == 0
        assert pipeline.options.fit == quality_options(quality).fit
    assert main([*two_clips, "-o", str(tmp_path / "c"), "--refit", "-1"]) == 2
    assert "no negative steps" in capsys.readouterr().err


def test_long_clips_give_eight_by_eight(tmp_path, clip_folder, pipeline):
    args = ["run", "--freeze-time", str(clip_folder("a", 12)), "--fixed-view", str(clip_folder("b", 9))]
    assert main([*args, "-o", str(tmp_path / "out"), "--quiet"]) == 0
    assert (pipeline.grid.views, pipeline.grid.times) == (8, 8)


def test_the_viewer_is_named_last_and_holds_what_was_given(tmp_path, two_clips, pipeline, capsys):
    assert main([*two_clips, "-o", str(tmp_path / "out")]) == 0
    viewer = tmp_path / "out" / "viewer.html"
    assert capsys.readouterr().out.strip().splitlines()[-1].startswith(f"open {viewer}")
    pieces = re.findall(r'<script type="text/plain">([^<]*)<', viewer.read_text(encoding="utf-8"))
    payload = b"".join(base64.b64decode(piece) for piece in pieces)
    head = json.loads(payload[12 : 12 + int.from_bytes(payload[8:12], "little")])
    assert [(s["view"], s["time"]) for s in head["sections"] if s["kind"] == "frame"] == [
        (0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (2, 0)
    ]  # fmt: skip


def test_a_job_that_needs_more_than_there_is_is_told_before_it_begins(
    tmp_path, two_clips, pipeline, capsys, monkeypatch
):
    monkeypatch.setattr(job_memory, "free_memory_mb", lambda: 1.0)
    pipeline.fails_with = InputError("a stop", "none", "go on")
    main([*two_clips, "-o", str(tmp_path / "a")])
    said = capsys.readouterr().err
    assert "3 x 4 cells of 48 x 32 pixels need about" in said and "are free" in said and "lower --size" in said
    monkeypatch.setattr(job_memory, "free_memory_mb", lambda: 1000.0)
    main([*two_clips, "-o", str(tmp_path / "b")])
    assert "are free" not in capsys.readouterr().err


def test_the_report_says_what_was_run(tmp_path, two_clips, pipeline, capsys):
    assert main([*two_clips, "-o", str(tmp_path / "out"), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / "out" / "report.json").read_text())
    assert printed["grid"].pop("known") == [[0, 0], [0, 1], [0, 2], [0, 3], [1, 0], [2, 0]]
    assert printed["grid"] == {"views": 3, "times": 4, "height": 32, "width": 48, "known_cells": 6, "valid_share": 1.0}
    assert list(printed["seconds"]) == ["read clips", "stand-in", "write"] and printed["seconds"]["stand-in"] == 0.25
    assert printed["seconds_total"] > 0 and printed["splats"] == 20
    assert printed["versions"]["torch"] == torch.__version__
    assert printed["peak_memory_mb"] is None or printed["peak_memory_mb"] > 50
    assert printed["inputs"]["freeze_time"] == str(tmp_path / "freeze")


@pytest.mark.parametrize(("camera", "said"), [("auto", "taken out"), ("own", "each time's own camera"), ("still", "")])
def test_a_camera_that_moves_is_in_the_report(tmp_path, two_clips, pipeline, capsys, camera, said):
    shift = FrameMotion(np.array([[1, 0, 2.5], [0, 1, 0], [0, 0, 1]]), np.zeros(3))
    still = FrameMotion.still()
    if camera != "still":
        pipeline.motion = CameraMotion((still, shift, still, still), (0.0, 2.5, 0.0, 0.0), (1,), (32, 48))
    assert main([*two_clips, "-o", str(tmp_path / "out"), "--camera", camera]) == 0
    assert pipeline.options.camera == camera
    printed, report = capsys.readouterr().out, json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["camera"] == camera and said in printed
    assert ("moved by up to 2.5 pixels" in printed) == (camera != "still")
    assert report["camera_motion"]["shift_px"] == [0.0, 0.0 if camera == "still" else 2.5, 0.0, 0.0]
    assert report["camera_motion"]["stands"] == (camera == "still")


def test_quiet_is_silent_and_loud_names_stages(tmp_path, two_clips, pipeline, capfd):
    assert main([*two_clips, "-o", str(tmp_path / "out"), "--quiet"]) == 0
    assert capfd.readouterr() == ("", "")
    assert main([*two_clips, "-o", str(tmp_path / "out")]) == 0
    out, err = capfd.readouterr()
    assert "6 cells made from 6 given ones" in out
    assert "stand-in" in err and "left" in err and "cells" in err


def test_warnings_are_said_once_and_hidden_by_quiet(tmp_path, clip_folder, pipeline, capfd):
    args = [
        "run",
        "--freeze-time",
        str(clip_folder("a", 3)),
        "--fixed-view",
        str(clip_folder("b", 3, 64, 96)),
        "-o",
        str(tmp_path / "out"),
    ]
    assert main(args) == 0
    assert capfd.readouterr().err.count("the fixed-view clip is resized") == 1
    assert main([*args, "--quiet"]) == 0
    assert capfd.readouterr().err == ""


def test_first_frames_that_differ_are_a_warning_with_the_difference(tmp_path, clip_folder, pipeline, capfd):
    other = clip_folder("b", 3)
    (other / "0.png").unlink()
    assert (
        main(
            ["run", "--freeze-time", str(clip_folder("a", 3)), "--fixed-view", str(other), "-o", str(tmp_path / "out")]
        )
        == 0
    )
    assert "the first frames of the two clips differ (PSNR " in capfd.readouterr().err


@pytest.mark.parametrize("how", ["file in out", "folder is out", "folder is out/grid", "cells are out/grid"])
def test_inputs_are_never_overwritten(tmp_path, two_clips, pipeline, capsys, how, pictures):
    out = tmp_path / "out"
    (out / "grid").mkdir(parents=True)
    for folder in (out, out / "grid"):
        save_image(pictures(1)[0], folder / "v0_t0.png")
        save_image(pictures(1)[0], folder / "v1_t0.png")
    (out / "freeze_time.mp4").write_bytes(b"precious")
    args = list(two_clips)
    if how == "cells are out/grid":
        args += ["--grid", str(out / "grid")]
    else:
        args[2] = str({"file in out": out / "freeze_time.mp4", "folder is out": out}.get(how, out / "grid"))
    before = {p: (out / p).read_bytes() for p in outputs(out)}
    assert main([*args, "-o", str(out)]) == 2
    assert "lies where outputs are written" in capsys.readouterr().err
    assert {p: (out / p).read_bytes() for p in outputs(out)} == before


def test_an_interrupt_ends_with_130_and_no_half_file(tmp_path, two_clips, pipeline, capsys):
    pipeline.fails_with = KeyboardInterrupt()
    assert main([*two_clips, "-o", str(tmp_path / "out")]) == 130
    assert "interrupted" in capsys.readouterr().err
    assert outputs(tmp_path / "out") == set()


def test_an_interrupt_while_writing_leaves_only_whole_files(tmp_path, two_clips, pipeline, monkeypatch):
    real = os.replace
    done = []

    def replace(source: Path, target: Path) -> None:
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(Path(target).name)
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    assert main([*two_clips, "-o", str(tmp_path / "out"), "--quiet"]) == 130
    assert outputs(tmp_path / "out") == set(done) and len(done) == 3


def test_a_console_without_the_letters_of_a_folder(tmp_path, two_clips, pipeline, monkeypatch):
    console = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", console)
    assert main([*two_clips, "-o", str(tmp_path / "\u6620\u753b")]) == 0
    console.flush()
    assert b"outputs in" in console.buffer.getvalue() and b"\\u6620\\u753b" in console.buffer.getvalue()
