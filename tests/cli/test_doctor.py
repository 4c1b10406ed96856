"""``fourreal doctor``: versions, devices, and what works here and why not."""

from __future__ import annotations

import json

import torch

from fourreal_core import metrics
from fourreal_core.cli import doctor, main
from fourreal_core.job_memory import JobSize
from fourreal_core.rasterizer import available_backends


def test_it_reports_versions_devices_and_back_ends(capsys):
    assert main(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["versions"]["torch"] == torch.__version__ and "cpu" in report["devices"]
    assert report["rasterizers"]["torch"] == "works" and set(report["rasterizers"]) == set(available_backends())
    assert report["video"] == {"h264": "works"}


def test_it_says_what_is_free_and_what_fits(monkeypatch):
    monkeypatch.setattr(metrics, "free_memory_mb", lambda: 2048.0)
    told = doctor.memory()
    assert told["free"] == "2.0 GB"
    width, height = (int(side) for side in told["largest 8 x 8 of 16:9"].removesuffix(" pixels").split(" x "))
    assert JobSize(8, 8, height, width).working_mb <= 2048 < JobSize(8, 8, height + 18, width + 32).working_mb
    monkeypatch.setattr(metrics, "free_memory_mb", lambda: None)
    assert doctor.memory()["free"] == "not told by this system"


def test_it_says_why_a_back_end_does_not_work(monkeypatch, capsys):
    import fourreal_core.rasterizer as rasterizer

    def broken(*args, **kwargs):
        raise RuntimeError("no such instruction")

    monkeypatch.setattr(rasterizer, "available_backends", lambda: {"torch": "ok", "gsplat": "no CUDA device"})
    monkeypatch.setattr(rasterizer, "rasterize", broken)
    assert doctor.rasterizers() == {"torch": "fails: RuntimeError: no such instruction", "gsplat": "no CUDA device"}
    assert main(["doctor"]) == 0
    assert "fails: RuntimeError: no such instruction" in capsys.readouterr().out
