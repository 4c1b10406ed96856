"""Making a study: what its videos show, that nothing tells methods apart, and bad input."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from fourreal_core.errors import InputError
from fourreal_core.media import read_clip, write_video
from fourreal_core.study.make_study import MakeOptions, make_study, views_in_turn
from fourreal_core.study.pages import start_page
from fourreal_core.study.questions import QUESTIONS
from fourreal_core.study.study_file import Study, read_study

Folders = dict[str, dict[str, Path]]


def test_the_seven_questions_of_the_paper() -> None:
    assert [q.key for q in QUESTIONS] == ["motion", "foreground", "background", "shape", "quality", "dynamic", "text"]


def test_views_play_one_after_the_other(study_folder: tuple[Study, Path]) -> None:
    study, folder = study_folder
    assert len(study.pairs) == 2 and study.methods == ["ours", "theirs"]
    clip = read_clip(folder / "videos" / study.pairs[0].first_video)
    assert clip.shape == (6, 48, 64, 3)  # two views of three times each
    red, green = (
        read_clip(folder / "videos" / getattr(study.pairs[0], n))[0, 0, 0] for n in ("first_video", "second_video")
    )
    assert red[0] > red[1] + 0.3 and green[1] > green[0] + 0.3
    bright = [clip[k].mean(-1) for k in range(6)]
    assert bright[0][12, 20] > 0.9 > bright[1][12, 20] and bright[1][20, 20] > 0.9  # time runs
    assert bright[3][12, 40] > 0.9 > bright[3][12, 20]  # then the second view, from time 0
    grid = torch.arange(12.0).reshape(4, 3, 1, 1, 1).expand(4, 3, 2, 2, 3)
    assert views_in_turn(grid, 2)[:, 0, 0, 0].tolist() == [0, 1, 2, 9, 10, 11]


def test_nothing_tells_methods_apart(study_folder: tuple[Study, Path]) -> None:
    study, folder = study_folder
    names = [p.name for p in (folder / "videos").iterdir()]
    assert len(names) == 4 and not any(word in name for name in names for word in ("ours", "theirs", "boat", "cat"))
    assert all(len(pair.key) == 16 and "ours" not in pair.key for pair in study.pairs)


def test_a_study_is_read_as_it_was_written(study_folder: tuple[Study, Path]) -> None:
    study, folder = study_folder
    assert read_study(folder) == study
    by_scene = {pair.scene: pair for pair in study.pairs}
    assert [q.key for q in study.questions_of(by_scene["boat"])][-1] == "dynamic"  # no description, no such question
    assert len(study.questions_of(by_scene["cat"])) == 7


def test_nobody_reads_of_descriptions_that_are_not_there(tmp_path: Path, method_folders: Folders) -> None:
    bare = make_study(method_folders, tmp_path / "bare")
    told = make_study(method_folders, tmp_path / "told", MakeOptions(texts={"cat": "A cat."}))
    assert "description" not in start_page(bare, None) and start_page(bare, None).count("<li>") == 6
    assert "You see a description" in start_page(told, None) and start_page(told, None).count("<li>") == 7


def test_every_two_methods_of_three_on_every_scene(tmp_path: Path, method_folders: Folders) -> None:
    three = {**method_folders, "third": method_folders["ours"]}
    study = make_study(three, tmp_path / "s")
    assert len(study.pairs) == 6 and len({pair.key for pair in study.pairs}) == 6
    assert {(p.first, p.second) for p in study.pairs} == {("ours", "theirs"), ("ours", "third"), ("theirs", "third")}


def test_attention_checks_are_plain(tmp_path: Path, method_folders: Folders) -> None:
    study = make_study(method_folders, tmp_path / "s", MakeOptions(checks=2))
    checks = [pair for pair in study.pairs if pair.check]
    assert len(checks) == 2 and {(c.first, c.second) for c in checks} == {("good", "spoilt")}
    good, bad = (read_clip(tmp_path / "s" / "videos" / n) for n in (checks[0].first_video, checks[0].second_video))
    assert good.shape == bad.shape and float((good - bad).abs().mean()) > 0.03
    assert study.methods == ["ours", "theirs"]


def test_videos_are_taken_as_they_are(tmp_path: Path) -> None:
    clips = torch.rand(2, 5, 32, 48, 3, generator=torch.Generator().manual_seed(0))
    methods = {}
    for name, clip in zip(("a", "b"), clips, strict=True):
        (tmp_path / name).mkdir()
        methods[name] = {"x": write_video(clip, tmp_path / name / "x.webm", 12.0)}
    study = make_study(methods, tmp_path / "s")
    copy = tmp_path / "s" / "videos" / study.pairs[0].first_video
    assert copy.suffix == ".webm" and copy.read_bytes() == methods["a"]["x"].read_bytes()


def test_bad_input_in_one_sentence_each(
    tmp_path: Path, method_folders: Folders, study_folder: tuple[Study, Path]
) -> None:
    study, folder = study_folder
    unequal = {"ours": method_folders["ours"], "theirs": {"boat": method_folders["theirs"]["boat"]}}
    with pytest.raises(InputError, match="theirs, which lacks cat; expected the same names as ours: boat, cat"):
        make_study(unequal, tmp_path / "a")
    with pytest.raises(InputError, match="1 method; expected at least two"):
        make_study({"ours": method_folders["ours"]}, tmp_path / "b")
    with pytest.raises(InputError, match="already holds a study"):
        make_study(method_folders, folder)
    with pytest.raises(InputError, match="descriptions of dog"):
        make_study(method_folders, tmp_path / "c", MakeOptions(texts={"dog": "A dog."}))
    torn = tmp_path / "torn" / "boat"
    shutil.copytree(method_folders["ours"]["boat"], torn)
    (torn / "v1_t1.png").unlink()
    with pytest.raises(InputError, match="boat without 1 of its cells"):
        make_study({"a": {"boat": torn}, "b": {"boat": torn}}, tmp_path / "d")
    with pytest.raises(InputError, match="no study.json"):
        read_study(tmp_path)


def test_files_of_other_kinds(study_folder: tuple[Study, Path]) -> None:
    study, folder = study_folder
    text = (folder / "study.json").read_text(encoding="utf-8")
    newer = json.loads(text) | {"version": 2}
    (folder / "study.json").write_text(json.dumps(newer))
    with pytest.raises(InputError, match="study.json of version 2; expected at most 1; update this package"):
        read_study(folder)
    (folder / "study.json").write_text(text[:-20])
    with pytest.raises(InputError, match="is no study"):
        read_study(folder)
    (folder / "study.json").write_text(text)
    (folder / "videos" / study.pairs[1].second_video).unlink()
    with pytest.raises(InputError, match="without 1 of its videos"):
        read_study(folder)
