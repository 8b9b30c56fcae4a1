"""Who follows a build: told of silence, and left alone by nobody."""

from __future__ import annotations

import io
import json
import time

import pytest

from sandbox import Mistake
from sandbox.builds import follow, queue, records

RUNS = {
    "number": 1,
    "id": "a",
    "commit": "c0ffee",
    "source_version": "main",
    "initiator": "root",
    "submitted": 1700000000.0,
    "status": "IN_PROGRESS",
}
WAITS = RUNS | {"number": 2, "id": "b", "status": "QUEUED"}


def put(folder, record):
    (folder / str(record["number"])).mkdir(exist_ok=True)
    (folder / str(record["number"]) / "build.json").write_text(json.dumps(record))
    (folder / str(record["number"]) / "log").touch()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two builds, of which one runs; nobody who follows is patient."""
    monkeypatch.setattr(records, "BUILDS", tmp_path)
    monkeypatch.setattr(queue, "worker_lives", lambda: True)
    for name in ("LOOK", "SILENCE"):
        monkeypatch.setattr(follow, name, 0)
    for record in (RUNS, WAITS):
        put(tmp_path, record)
    events = [
        {"event": "phase", "at": time.time() - 100, "offset": 0, "name": "BUILD"},
        {"event": "command", "at": time.time() - 95, "offset": 0, "text": "pytest \x1b -x\ncat"},
    ]
    (tmp_path / "1" / "progress").write_text("".join(f"{json.dumps(each)}\n" for each in events))
    return tmp_path


def followed(folder, monkeypatch, record, coloured):
    """Return what a follower is told first of a build, which then ends."""
    said = []

    def tell(text):
        said.append(text)
        put(folder, record | {"status": "SUCCEEDED"})

    monkeypatch.setattr(follow, "say", tell)
    out = io.StringIO()
    ended = follow.to_its_end(records.load(record["number"]), out, coloured)
    assert ended.status == "SUCCEEDED"
    return said, out.getvalue()


@pytest.mark.parametrize("coloured", [False, True], ids=["pipe", "terminal"])
@pytest.mark.parametrize(
    "record, told",
    [(WAITS, "waiting for build 1, which has run"), (RUNS, "this is build 1, which has run")],
    ids=["waits", "runs in silence"],
)
def test_follower_is_told_what_a_build_does_and_how_to_end_it(
    folder, monkeypatch, coloured, record, told
):
    said, _ = followed(folder, monkeypatch, record, coloured)
    assert said == [
        f"{told} pytest ? -x for 95 s",
        "hint: type `python3 -m sandbox stop` to end it",
    ]


def test_build_between_two_commands_is_in_its_phase(folder):
    with open(folder / "1" / "progress", "a") as stream:
        ended = {"event": "command ended", "at": time.time(), "offset": 9, "status": 0}
        stream.write(json.dumps(ended) + "\n")
    assert follow.doing(records.load(1)) == "has been in BUILD for 100 s"
    (folder / "1" / "progress").unlink()
    assert follow.doing(records.load(1)) == "has just begun"


def test_follower_of_a_build_that_nobody_runs_gives_up(folder, monkeypatch):
    monkeypatch.setattr(queue, "worker_lives", lambda: False)
    monkeypatch.setattr(follow, "AGAIN", 1e9)
    monkeypatch.setattr(follow.emulator, "running", lambda: None)
    with pytest.raises(Mistake, match="the account has ended"):
        follow.to_its_end(records.load(2), io.StringIO())
    monkeypatch.setattr(follow.emulator, "running", lambda: {"pid": 1})
    with pytest.raises(Mistake, match=r"ends at once: read .*worker\.log"):
        follow.to_its_end(records.load(2), io.StringIO())
