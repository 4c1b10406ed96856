"""``fourreal demo --model small``: the packaged model on a seeded scene, for real."""

from __future__ import annotations

import json

import pytest

from fourreal_core.cli import main
from fourreal_core.media import read_clip


def test_the_small_model_makes_a_grid_and_says_how_good_it_is(tmp_path, capsys):
    assert (
        main(
            [
                "demo",
                "--model",
                "small",
                "-o",
                str(tmp_path),
                "--views",
                "4",
                "--times",
                "4",
                "--json",
                "--device",
                "cpu",
            ]
        )
        == 0
    )
    report = json.loads(capsys.readouterr().out)
    assert set(report["cells"]) == {f"v{v}_t{t}" for v in (1, 2, 3) for t in (1, 2, 3)}
    # a seeded scene in which much moves: a model that learned nothing would score its copies' means, below these floors
    assert report["psnr_mean"] > report["psnr_mean_frozen"] + 1
    assert report["psnr_mean_subject"] > report["psnr_mean_subject_frozen"] + 1
    assert {p.name for p in tmp_path.iterdir()} == {
        "freeze_time.mp4",
        "fixed_view.mp4",
        "grid.mp4",
        "grid",
        "contact_sheet.png",
        "report.json",
    }
    assert read_clip(tmp_path / "freeze_time.mp4").shape[:3] == (4, 64, 64)


@pytest.mark.parametrize(
    "more, says",
    [
        (["--model", "large"], "small"),
        (["--model", "small", "--size", "71x71"], "divides"),
        (["--model", "small", "--views", "1"], "at least 2"),
    ],
)
def test_what_the_model_cannot_do_is_said(tmp_path, capsys, more, says):
    assert main(["demo", "-o", str(tmp_path / "out"), *more]) == 2
    assert says in capsys.readouterr().err
