"""Files that are written in one step, folders that are ours again, and locks between processes."""

import fcntl
import os
import shutil
import subprocess
import tempfile
import threading
import traceback
from pathlib import Path

import pytest

from sandbox import Mistake
from sandbox.builds import worker
from sandbox.laptop import files, place


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


def as_somebody(folder, function):
    """Call a function in a process of a user for whom modes count; root is one for whom not."""
    child = os.fork()
    if not child:
        try:
            if os.getuid() == 0:
                os.chown(folder, 65534, 65534)
                os.setgid(65534)
                os.setuid(65534)
            function()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    return os.waitpid(child, 0)[1] == 0


@pytest.fixture
def anybodys():
    """A folder that any user can reach."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    subprocess.run(["chmod", "-R", "u+rwX", folder], check=True)
    shutil.rmtree(folder)


@pytest.mark.parametrize("mode", [0o555, 0o444, 0])
def test_what_was_made_read_only_is_deleted(anybodys, mode):
    def check():
        (anybodys / "a/b/c").mkdir(parents=True)
        (anybodys / "a/b/file").touch()
        (anybodys / "a/b/link").symlink_to("/")
        for path in ("a/b/c", "a/b", "a"):
            (anybodys / path).chmod(mode)
        files.delete(anybodys / "a")
        assert not os.path.lexists(anybodys / "a")

    assert as_somebody(anybodys, check)


def test_what_cannot_be_deleted_is_named(anybodys):
    def check():
        (anybodys / "a/b").mkdir(parents=True)
        anybodys.chmod(0o555)
        with pytest.raises(OSError, match="a could not be removed: rm: "):
            files.delete(anybodys / "a")
        anybodys.chmod(0o755)

    assert as_somebody(anybodys, check)


def test_what_a_build_made_read_only_is_no_obstacle_to_the_next(anybodys, monkeypatch):
    """Nor to `down`, which says that nothing is left only if that is so."""
    outside = anybodys / "outside"
    monkeypatch.setattr(worker, "OUTSIDE", outside)
    monkeypatch.setattr(worker, "CODEBUILD", outside / "machine")
    monkeypatch.setattr(place, "outside", lambda _: outside)
    monkeypatch.setattr(place, "ROOT", anybodys)
    monkeypatch.setattr(place, "FOLDER", anybodys / ".sandbox")
    monkeypatch.setattr(place, "NOTE", anybodys / ".sandbox" / "place")

    def check():
        worker.make_outside()
        for _ in range(2):
            (outside / "machine/home/go/pkg").mkdir(parents=True)
            (outside / "machine/home/go/pkg/file").touch()
            for path in ("machine/home/go/pkg", "machine/home", "machine", "."):
                (outside / path).chmod(0o555)
            worker.discard_work()
            assert not (outside / "machine").exists()
            worker.empty_trash()
            assert list(outside.iterdir()) == []
        (outside / "machine/home").mkdir(parents=True)
        (outside / "machine").chmod(0o555)
        (anybodys / ".sandbox/packages/empty/bin").mkdir(parents=True)
        (anybodys / ".sandbox/packages/empty/bin/pip").touch()
        (anybodys / ".sandbox/packages/empty/bin").chmod(0o555)
        place.set_aside()
        assert place.remove()
        assert list(anybodys.iterdir()) == []

    assert as_somebody(anybodys, check)


@pytest.mark.parametrize("put", [lambda path: path.symlink_to("/"), lambda path: path.touch()])
def test_folder_of_ours_is_one_again(tmp_path, put):
    put(tmp_path / "folder")
    files.make_folder(tmp_path / "folder")
    assert (tmp_path / "folder").is_dir() and not (tmp_path / "folder").is_symlink()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: (folder / "aws").write_text("x"),
        lambda folder: (folder / "aws").chmod(0o644),
        lambda folder: ((folder / "aws").unlink(), (folder / "aws").mkdir()),
        lambda folder: ((folder / "aws").unlink(), os.mkfifo(folder / "aws", 0o755)),
        lambda folder: ((folder / "aws").unlink(), (folder / "aws").symlink_to("/bin/sh")),
        lambda folder: (folder / "more").touch(),
        lambda folder: (shutil.rmtree(folder), folder.symlink_to("/")),
        lambda folder: (shutil.rmtree(folder), folder.touch()),
        lambda folder: shutil.rmtree(folder),
    ],
)
def test_programs_are_as_they_were_placed(tmp_path, monkeypatch, spoil):
    monkeypatch.setattr(files, "FOLDER", tmp_path)
    folder = tmp_path / "bin"
    for again in (False, True):
        if again:
            spoil(folder)
        files.write_programs(folder, {"aws": "text"})
        assert [path.name for path in folder.iterdir()] == ["aws"] and not folder.is_symlink()
        assert (folder / "aws").read_text() == "text" and os.access(folder / "aws", os.X_OK)


def test_file_is_written_only_if_it_is_another(tmp_path):
    path = tmp_path / "file"
    files.write(path, "é", 0o600)
    (tmp_path / "kept").hardlink_to(path)  # so that no other file gets its number
    for mode in (0o600, None):
        files.write(path, "é", mode)
        assert path.samefile(tmp_path / "kept")
    files.write(path, "e")
    assert not path.samefile(tmp_path / "kept") and path.read_text() == "e"


def test_file_is_written_by_many_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "FOLDER", tmp_path)
    failed = []

    def work():
        try:
            for number in range(20):
                files.write(tmp_path / "file", f"{number % 2}" * 1000)
                files.write_programs(tmp_path / "bin", {"aws": f"text {number % 2}"})
        except OSError as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bin", "file", "programs.lock"]
