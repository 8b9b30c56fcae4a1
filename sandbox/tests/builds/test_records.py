"""Records of builds that another version of this program, or an accident, has left."""

import contextlib
import json

import pytest

from sandbox.builds import follow, progress, queue, records
from sandbox.codebuild.reports import Report

WHOLE = {
    "number": 3,
    "id": "f3b1",
    "commit": "c0ffee" * 6 + "abcd",
    "source_version": "main",
    "initiator": "root",
    "submitted": 1700000000.5,
    "status": "SUCCEEDED",
    "live_after": "4",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "BUILDS", tmp_path)
    monkeypatch.setattr(follow, "ROOT", tmp_path)
    return tmp_path


def put(folder, text, number=3):
    (folder / str(number)).mkdir()
    (folder / str(number) / "build.json").write_text(text)


def test_record_with_a_key_that_is_not_known_is_read(folder):
    put(folder, json.dumps(WHOLE | {"colour": "green"}))
    build = records.load(3)
    assert (build.status, build.live_after, build.phase) == ("SUCCEEDED", "4", None)
    assert records.unreadable() == []


def test_release_of_an_older_record_is_what_it_left_live(folder):
    put(folder, json.dumps(WHOLE))
    assert [build.released for build in records.green()] == ["4"]


def test_build_that_released_nothing_is_no_release(folder):
    put(folder, json.dumps(WHOLE | {"released": None}))
    assert [build.released for build in records.green()] == []


def test_status_that_is_not_known_is_an_end(folder):
    put(folder, json.dumps(WHOLE | {"status": "EXPIRED"}))
    assert records.load(3).has_ended
    assert records.unfinished() == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1]",
        '"text"',
        "\udcff".encode("utf-8", "surrogateescape").decode("latin-1"),
        json.dumps({name: value for name, value in WHOLE.items() if name != "initiator"}),
        json.dumps({name: value for name, value in WHOLE.items() if name != "number"}),
        json.dumps(WHOLE | {"submitted": "yesterday"}),
        json.dumps(WHOLE | {"status": None}),
        json.dumps(WHOLE | {"commit": 7}),
        json.dumps(WHOLE | {"submitted": float("nan")}),
        json.dumps(WHOLE | {"ended": float("inf")}),
        json.dumps(WHOLE | {"started": -1.0}),
        json.dumps(WHOLE | {"submitted": 10**20}),
        json.dumps(WHOLE | {"submitted": True}),
        json.dumps(WHOLE).replace("1700000000.5", "1" * 5000),
        json.dumps(WHOLE | {"number": 4}),
        json.dumps(WHOLE | {"phase": ["BUILD"]}),
        json.dumps(WHOLE | {"exported": {"NAME": 1}}),
        json.dumps(WHOLE | {"exported": "NAME"}),
        json.dumps(WHOLE | {"reports": [{"group": "g"}]}),
        json.dumps(WHOLE | {"reports": [{"group": "g", "status": "s", "counts": [["FAILED"]]}]}),
        json.dumps(WHOLE | {"reports": 1}),
    ],
)
def test_record_that_cannot_be_read_is_passed_over_and_kept(folder, text):
    put(folder, json.dumps(WHOLE | {"number": 2}), 2)
    put(folder, text)
    assert [build.number for build in records.newest_first()] == [2]
    assert records.unreadable() == [folder / "3" / "build.json"]
    assert [build.released for build in records.green()] == ["4"]
    assert records.unfinished() == []
    assert (folder / "3" / "build.json").read_text() == text
    assert records.numbers() == [2, 3]  # the next build is number 4 and overwrites nothing


def test_record_is_read_as_it_was_written(folder):
    put(folder, json.dumps(WHOLE))
    counts = (("FAILED", 1), ("SUCCEEDED", 2))
    reports = (Report("g", "FAILED", ("a.xml",), counts, message="one"),)
    written = records.load(3).change(reports=reports, exported={"A": "b"}, started=1, ended=2.5)
    assert records.load(3) == written


def test_event_that_cannot_be_read_is_passed_over():
    at = {"at": 1.5, "offset": 0}
    good = {"event": "phase", "name": "BUILD"} | at
    events = [good | {"name": 7}, good | {"at": float("nan")}, good | {"offset": "0"}, good]
    events += [{"event": "command", "text": 7} | at, {"event": "variable", "name": "N"} | at]
    assert progress.told(map(json.dumps, events)) == progress.Progress(
        (progress.Phase("BUILD", 1.5, 0),)
    )


def test_row_of_a_record_forges_no_line(folder):
    put(folder, json.dumps(WHOLE | {"status": "OK\x1b[2J\nbuild 4", "commit": "\ud800"}))
    assert "OK?[2J?build 4  ?  2023" in follow.row(records.load(3), killed=False)


def test_folder_without_a_number_is_no_build(folder):
    (folder / "notes").mkdir()
    assert records.numbers() == []


def test_build_whose_record_cannot_be_written_leaves_no_folder(folder, monkeypatch):
    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(records, "write", full)
    monkeypatch.setattr(queue, "lock", lambda _: contextlib.nullcontext())
    with pytest.raises(OSError, match="no space"):
        queue.submit("hello_user", "c0ffee", "main", "root")
    assert list(folder.iterdir()) == []
