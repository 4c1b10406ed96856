"""Reading manifests of every kind, and what is said of bad ones."""

from __future__ import annotations

import json

import pytest

from fourreal_core.batch.checking import check_rows
from fourreal_core.batch.ledger import Ledger
from fourreal_core.batch.manifest import Row, read_rows
from fourreal_core.errors import InputError

from .making import RULES

ROWS = [{"id": "a", "clip": "a.mp4", "number": "3"}, {"id": "b ä", "clip": "b.mp4"}]


def values(manifest, patterns=None):
    return [dict(row.values) for row in read_rows(str(manifest), patterns)]


def test_csv_and_tsv_leave_out_blank_cells_and_lines(tmp_path):
    (tmp_path / "m.csv").write_text("\ufeffid, clip,number\na,a.mp4,3\n\n b ä ,b.mp4,\n", "utf-8")
    (tmp_path / "m.tsv").write_text("id\tclip\tnumber\na\ta.mp4\t3\nb ä\tb.mp4\n", "utf-8")
    assert values(tmp_path / "m.csv") == values(tmp_path / "m.tsv") == ROWS
    assert [row.number for row in read_rows(str(tmp_path / "m.csv"))] == [2, 4]


def test_json_lines_turn_numbers_into_text_and_name_what_is_none(tmp_path):
    lines = ['{"id": "a", "clip": "a.mp4", "number": 3.0}', "", '{"id": "b ä", "clip": "b.mp4", "number": null}']
    lines += ["[1]", "{", '{"id": "c", "clip": ["x"], "number": 0.5}']
    (tmp_path / "m.jsonl").write_text("\n".join(lines), "utf-8")
    rows = list(read_rows(str(tmp_path / "m.jsonl")))
    assert [dict(row.values) for row in rows[:2]] == ROWS
    assert rows[2].faults == ("no JSON object",) and "no JSON (" in rows[3].faults[0]
    assert rows[4].faults == ('clip is ["x"], expected text or a number',) and rows[4].values["number"] == "0.5"
    assert [row.number for row in rows] == [1, 3, 4, 5, 6]


def test_parquet_says_the_same(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed (the extra [batch])")
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.table({"id": ["a", "b ä"], "clip": ["a.mp4", "b.mp4"], "number": [3.0, None]})
    parquet.write_table(table, tmp_path / "m.parquet")
    assert values(tmp_path / "m.parquet") == ROWS
    (tmp_path / "n.parquet").write_bytes(b"no parquet")
    with pytest.raises(InputError, match="n.parquet can't be read"):
        values(tmp_path / "n.parquet")


@pytest.mark.parametrize(
    ("one", "two"), [("{id}_freeze.mp4", "{id}_fixed.mp4"), ("{id}/freeze.mp4", "{id}/fixed.mp4"), ("{id}/f", "x/{id}")]
)
def test_a_folder_by_a_pattern(tmp_path, one, two):
    for name in ("b", "a"):
        for pattern in (one, two):
            path = tmp_path / pattern.replace("{id}", name)
            path.parent.mkdir(exist_ok=True)
            path.touch()
    (tmp_path / "notes.txt").touch()
    rows = values(tmp_path, {"freeze_time": one, "fixed_view": two})
    assert rows == [
        {"id": n, "freeze_time": one.replace("{id}", n), "fixed_view": two.replace("{id}", n)} for n in ("a", "b")
    ]


def test_a_file_without_its_partner_is_named(tmp_path):
    for name in ("a_freeze.mp4", "b_fixed.mp4"):
        (tmp_path / name).touch()
    rows = list(read_rows(str(tmp_path), {"clip": "{id}_freeze.mp4", "other": "{id}_fixed.mp4"}))
    assert dict(rows[0].values) == {"id": "a", "clip": "a_freeze.mp4", "other": "a_fixed.mp4"}
    assert rows[1].id == "b" and rows[1].faults == ("b_fixed.mp4 is there and b_freeze.mp4 is not",)


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("m.txt", "", "expected a file that ends in .csv"),
        ("m.csv", "id,id\n", "the column 'id' twice"),
        ("absent.csv", None, "absent.csv can't be read"),
    ],
)
def test_files_that_are_no_manifest(tmp_path, name, text, sentence):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=sentence):
        values(tmp_path / name)


@pytest.mark.parametrize("pattern", ["freeze.mp4", "{id}*.mp4"])
def test_patterns_that_name_no_jobs(tmp_path, pattern):
    with pytest.raises(InputError, match="expected {id} in it, and no wildcards"):
        values(tmp_path, {"clip": pattern})


def test_a_manifest_far_away_is_read_like_one_here():
    fsspec = pytest.importorskip("fsspec")
    files = fsspec.filesystem("memory")
    files.pipe("/far/m.csv", b"id,clip\na,a.mp4\n")
    files.pipe("/far/a.mp4", b"clip")
    assert values("memory://far/m.csv") == [{"id": "a", "clip": "a.mp4"}]
    assert values("memory://far", {"clip": "{id}.mp4"}) == [{"id": "a", "clip": "a.mp4"}]
    with Ledger() as ledger:
        check_rows(read_rows("memory://far/m.csv"), RULES, "memory://far", ledger)
        assert len(ledger) == 1
    files.rm("/far", recursive=True)
    with Ledger() as ledger, pytest.raises(InputError, match="memory://far/a.mp4 does not exist"):
        check_rows([Row(2, {"id": "a", "clip": "a.mp4"})], RULES, "memory://far", ledger)


def test_all_faults_are_said_at_once(tmp_path):
    (tmp_path / "a.mp4").touch()
    rows = [
        Row(2, {"id": "a", "clip": "a.mp4", "nummber": "1"}),
        Row(3, {"id": "A", "clip": "a.mp4", "nummber": "1"}),
        Row(4, {"id": "c", "clip": "gone.mp4", "number": "x"}),
        Row(5, {"clip": "a.mp4"}),
        Row(6, {"id": "../up", "clip": "a.mp4"}),
        Row(7, {"id": "report.html"}),
        Row(8, {}, ("no JSON object",)),
        Row(9, {"id": "fine", "clip": "a.mp4", "number": "1", "memory_mb": "5"}),
    ]
    with Ledger() as ledger, pytest.raises(InputError) as info:
        check_rows(rows, RULES, str(tmp_path), ledger)
    lines = [line.strip() for line in str(info.value).splitlines()]
    assert lines[0] == "a manifest with 9 faults; expected none; nothing was started; mend these and run again:"
    assert lines[1:] == [
        "row 2 (a): unknown column 'nummber' (did you mean 'number'?)",
        "row 3 (A): the id 'A' is that of row 2 too",
        f"row 4 (c): clip: {tmp_path / 'gone.mp4'} does not exist",
        "row 4 (c): number is 'x'",
        "row 5: no id",
        "row 6 (../up): the id '../up' can't name a folder",
        "row 7 (report.html): no clip",
        "row 7 (report.html): the id 'report.html' can't name a folder (no slashes, no leading dot, none of "
        "batch.json, index.jsonl, index.parquet, report.html)",
        "row 8: no JSON object.",
    ]


def test_many_faults_are_counted(tmp_path):
    rows = [Row(i, {"id": "a", "clip": "gone"}) for i in range(60)]
    with Ledger() as ledger, pytest.raises(InputError, match="119 faults") as info:
        check_rows(rows, RULES, str(tmp_path), ledger)
    assert "and 69 more" in str(info.value)


def test_no_rows_are_a_fault(tmp_path):
    with Ledger() as ledger, pytest.raises(InputError, match="a manifest without rows"):
        check_rows([], RULES, str(tmp_path), ledger)


def test_the_ledger_keeps_the_last_record_in_the_manifests_order():
    with Ledger() as ledger:
        for number, name in enumerate(("b", "A", "c")):
            assert ledger.add(name, number) is None
        lines = [{"id": "a", "state": "failed"}, {"id": "b", "state": "done"}, {"id": "a", "state": "done", "x": 1}]
        ledger.read_journal([json.dumps(line) for line in lines] + ['{"id": "c", "sta', '{"id": 3, "state": "done"}'])
        ledger.record({"id": "gone", "state": "failed"})
        assert [r["id"] for r in ledger.records()] == ["b", "a"]
        assert ledger.last("A") == {"id": "a", "state": "done", "x": 1} and ledger.last("c") is None
        assert ledger.counts() == {"done": 2, "failed": 0}
        assert ledger.counts(in_manifest=False) == {"done": 2, "failed": 1}
        ledger.record({"id": "c", "state": "failed"})
        assert [r["id"] for r in ledger.failed_first()] == ["c", "b", "a"]
        assert [r["id"] for r in ledger.failures()] == ["c", "gone"]
