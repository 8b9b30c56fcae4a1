"""Locks between processes."""

import fcntl
import shutil

import pytest

from sandbox import Mistake
from sandbox.laptop import files


def test_lock_of_a_sandbox_that_was_removed_meanwhile_is_not_held(tmp_path, monkeypatch):
    """Also if another has been made by the time that the lock is free."""
    folder = tmp_path / ".sandbox"
    folder.mkdir()
    monkeypatch.setattr(files, "FOLDER", folder)
    flock = fcntl.flock

    def late(*arguments):
        shutil.move(folder, tmp_path / "aside")
        folder.mkdir()
        (folder / "up.lock").touch()
        flock(*arguments)

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(Mistake, match="taken down"), files.lock("up"):
        pass


def test_lock_is_held_by_one(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "FOLDER", tmp_path)
    with files.lock("up") as first, files.lock("up", wait=False) as second:
        assert (first, second) == (True, False)
    with files.lock("up", wait=False) as third:
        assert third
