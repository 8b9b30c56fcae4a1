"""Records of builds that another version of this program, or an accident, has left."""

import contextlib
import json

import pytest

from sandbox.builds import queue, records

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
    monkeypatch.setattr(queue, "BUILDS", tmp_path)
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
    assert records.green_versions() == ["4"]


def test_build_that_released_nothing_is_no_release(folder):
    put(folder, json.dumps(WHOLE | {"released": None}))
    assert records.green_versions() == []


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
    ],
)
def test_record_that_cannot_be_read_is_passed_over_and_kept(folder, text):
    put(folder, json.dumps(WHOLE | {"number": 2}), 2)
    put(folder, text)
    assert [build.number for build in records.newest_first()] == [2]
    assert records.unreadable() == [folder / "3" / "build.json"]
    assert records.green_versions() == ["4"]
    assert records.unfinished() == []
    assert (folder / "3" / "build.json").read_text() == text
    assert records.numbers() == [2, 3]  # the next build is number 4 and overwrites nothing


def test_folder_without_a_number_is_no_build(folder):
    (folder / "notes").mkdir()
    assert records.numbers() == []


def test_build_whose_record_cannot_be_written_leaves_no_folder(folder, monkeypatch):
    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(records, "write", full)
    monkeypatch.setattr(queue, "lock", lambda _: contextlib.nullcontext())
    with pytest.raises(OSError, match="no space"):
        queue.submit("c0ffee", "main", "root")
    assert list(folder.iterdir()) == []


def test_logs_of_the_newest_builds_only_are_kept(folder, monkeypatch):
    monkeypatch.setattr(records, "KEPT", 2)
    for number in (1, 2, 3, 4):
        put(folder, json.dumps(WHOLE | {"number": number, "released": str(number)}), number)
        for name in ("log", "progress", "reports.json", "stop"):
            (folder / str(number) / name).write_text(f"{name} of {number}")
    put(folder, json.dumps(WHOLE | {"number": 0, "status": "QUEUED"}), 0)
    (folder / "0" / "log").write_text("log of 0")
    records.thin()
    logs = {number: (folder / str(number) / "log").read_text() for number in range(5)}
    assert logs == {
        0: "log of 0",
        1: records.GONE,
        2: records.GONE,
        3: "log of 3",
        4: "log of 4",
    }
    assert sorted(path.name for path in (folder / "1").iterdir()) == ["build.json", "log"]
    assert len([*(folder / "3").iterdir()]) == 5
    assert records.green_versions() == ["4", "3", "2", "1"]
    before = (folder / "1" / "log").stat().st_ino
    records.thin()
    assert (folder / "1" / "log").stat().st_ino == before
