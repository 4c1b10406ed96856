"""Means, paired differences, and which cells are worst."""

from __future__ import annotations

import json

import pytest

from fourreal_core.errors import InputError
from fourreal_core.evaluation.comparison import as_json, differences, mean_of, same_scenes, worst_cells
from fourreal_core.evaluation.figures import PLAIN_FIGURES, SceneFigures
from fourreal_core.metrics.intervals import mean_interval, share_interval

LEVELS = [20.0, 24.0, 22.0, 30.0, 26.0, 28.0]


def method(values: list[float], **more: float) -> list[SceneFigures]:
    return [
        SceneFigures(f"s{k}", {"psnr": v, **more}, {"psnr": {(1, 1): v - 1, (1, 2): v + 1}}, {"flicker": 2.0})
        for k, v in enumerate(values)
    ]


def test_paired_differences_see_what_means_hide() -> None:
    """Half a decibel in every scene is far less than scenes differ, and yet sure."""
    ours, other = method(LEVELS), method([v - 0.5 for v in LEVELS])
    (found,) = differences({"ours": ours, "other": other}, PLAIN_FIGURES)
    assert found.mean.value == pytest.approx(0.5) and found.mean.low == pytest.approx(0.5)
    assert found.wins == 6 and found.verdict(PLAIN_FIGURES["psnr"]) == "better"
    assert mean_of(LEVELS).low < mean_of([v - 0.5 for v in LEVELS]).value  # the intervals of the means overlap


def test_a_lower_figure_that_is_better() -> None:
    ours, other = method(LEVELS, flicker=1.0), method(LEVELS, flicker=3.0)
    by_name = {d.figure: d for d in differences({"a": ours, "b": other}, PLAIN_FIGURES)}
    assert by_name["flicker"].verdict(PLAIN_FIGURES["flicker"]) == "better" and by_name["flicker"].wins == 6
    assert by_name["psnr"].verdict(PLAIN_FIGURES["psnr"]) == "even" and by_name["psnr"].wins == 0
    near, far = method(LEVELS, motion=0.9), method(LEVELS, motion=1.4)
    motion = next(d for d in differences({"a": near, "b": far}, PLAIN_FIGURES) if d.figure == "motion")
    assert motion.wins == 6 and motion.verdict(PLAIN_FIGURES["motion"]) == "even"


def test_one_scene_proves_nothing() -> None:
    (found,) = differences({"a": method([30.0]), "b": method([20.0])}, PLAIN_FIGURES)
    assert (found.mean.low, found.mean.high) == (10.0, 10.0) and found.verdict(PLAIN_FIGURES["psnr"]) == "even"


def test_intervals_by_hand() -> None:
    low, high = mean_interval(LEVELS)
    assert low < 25 < high and low > 22 and high < 28 and mean_interval(LEVELS) == (low, high)
    assert mean_interval([3.0, 3.0, 3.0]) == (3.0, 3.0)
    # Clopper-Pearson of 8 of 10 is 0.4439 to 0.9748, of 0 of 10 up to 0.3085
    assert share_interval(8, 10) == pytest.approx((0.4439, 0.9748), abs=1e-4)
    assert share_interval(0, 10) == pytest.approx((0.0, 0.3085), abs=1e-4) and share_interval(0, 0) == (0.0, 1.0)


def test_the_worst_cells_come_first_and_from_many_scenes() -> None:
    name, worst = worst_cells(method(LEVELS), PLAIN_FIGURES, count=3, most_a_scene=1)
    assert name == "psnr" and worst == [("s0", (1, 1), 19.0), ("s2", (1, 1), 21.0), ("s1", (1, 1), 23.0)]
    blind = [SceneFigures("s", {}, {"warp_view": {(1, 1): 2.0, (2, 1): 7.0}})]
    assert worst_cells(blind, PLAIN_FIGURES) == ("warp_view", [("s", (2, 1), 7.0), ("s", (1, 1), 2.0)])
    assert worst_cells([SceneFigures("s", {})], PLAIN_FIGURES) == ("", [])


def test_methods_must_have_the_same_scenes() -> None:
    same_scenes({"a": {"x": 1, "y": 1}, "b": {"y": 1, "x": 1}})
    with pytest.raises(InputError, match=r"b, which lacks y; expected the same scenes as a: x, y"):
        same_scenes({"a": {"x": 1, "y": 1}, "b": {"x": 1}})
    with pytest.raises(InputError, match="b, which has z besides"):
        same_scenes({"a": {"x": 1}, "b": {"x": 1, "z": 1}})


def test_the_file_says_what_every_figure_is() -> None:
    methods = {"ours": method(LEVELS), "other": method([v - 0.5 for v in LEVELS])}
    found = json.loads(json.dumps(as_json(methods, PLAIN_FIGURES, {"versions": {}})))
    assert found["figures"]["psnr"]["unit"] == "dB" and found["figures"]["psnr"]["better"] == "higher"
    assert set(found["figures"]) == {"psnr"} and found["version"] == 1
    ours = found["methods"]["ours"]
    assert ours["means"]["psnr"]["value"] == pytest.approx(25) and ours["means"]["psnr"]["scenes"] == 6
    assert ours["scenes"]["s3"]["cells"]["psnr"] == {"v1_t1": 29.0, "v1_t2": 31.0}
    assert found["differences"][0]["verdict"] == "better" and found["differences"][0]["wins"] == 6
