"""Paths that are refused, and a sandbox that is not where it was made."""

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from clones import PYTHON
from sandbox import Mistake
from sandbox.laptop import place
from students import Student

SYSTEM = "/usr/bin/python3"  # which all users may start
NOBODY = {"user": 65534, "group": 65534, "extra_groups": []}


@pytest.fixture(scope="module")
def nobodys():
    """A student who is not root, and whom root has helped with `sudo`."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        someone = Student(Path(folder))
        subprocess.run(["chown", "-R", "65534:65534", someone.home, someone.clone], check=True)
        yield someone


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(place, "ROOT", tmp_path / "clone")
    monkeypatch.setattr(place, "NOTE", tmp_path / "clone" / ".sandbox" / "place")
    (tmp_path / "clone" / ".sandbox").mkdir(parents=True)
    return tmp_path / "clone"


@pytest.mark.parametrize(
    "name",
    [
        "Anna's folder",
        "100%",
        "a;b & c",
        "naïve 你好",
        "cash$",
        "US$ ",
        '"quoted"',
        "[a]*?",
        "back\\",
    ],
)
def test_path_with_odd_characters_is_taken(tmp_path, monkeypatch, name):
    (tmp_path / name).mkdir()
    monkeypatch.setattr(place, "ROOT", tmp_path / name)
    place.refuse_path()


@pytest.mark.parametrize(
    "name, why",
    [
        ("12:30", "colon"),
        ("my $HOME", "variable"),
        ("${x}", "variable"),
        ("$1", "variable"),
        ("a\nb", "no terminal"),
        ("\udcff", "no terminal"),
    ],
)
def test_path_that_cannot_work_is_refused(monkeypatch, name, why):
    monkeypatch.setattr(place, "ROOT", Path("/home") / name)
    with pytest.raises(Mistake, match=why) as refused:
        place.refuse_path()
    assert refused.value.hint.startswith("rename the folder, as with `mv ")


def test_clone_where_no_program_can_run_is_refused(tmp_path):
    someone, disk = Student(tmp_path), tmp_path / "disk"
    disk.mkdir()
    script = (
        'mount -t tmpfs -o noexec none "$1" && cp -R . "$1/clone" && cd "$1/clone" && shift && '
        'echo mounted && exec "$@"'
    )
    words = ("unshare", "-rm", "sh", "-c", script, "sh", disk, PYTHON, "-m", "sandbox", "up")
    said = someone.type(*words, code=None)
    if said.stdout != "mounted\n":
        pytest.skip("a disk can be mounted on Linux only, and not everywhere")
    assert (said.returncode, said.stderr) == (
        2,
        f"error: no program can run in {disk}/clone: its disk is mounted with the option noexec\n"
        f"hint: move the folder to another disk, as with `mv {disk}/clone ~/hello-user`\n",
    )


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")
@pytest.mark.parametrize(
    "command", ["up", "url", "env", "status", "build", "check", "test", "down", "console"]
)
def test_sandbox_of_another_user_is_told_by_every_command(nobodys, command):
    folder = nobodys.clone / ".sandbox"
    folder.mkdir(mode=0o700, exist_ok=True)
    said = nobodys.type(SYSTEM, "-m", "sandbox", command, code=2, **NOBODY)
    assert (said.stdout, said.stderr) == (
        "",
        f"error: {folder} belongs to root, and only root may open it\n"
        "hint: type `sudo -u root python3 -m sandbox down`, which removes it, "
        "then `python3 -m sandbox up`\n",
    )


def test_sandbox_is_where_it_was_made(root):
    assert place.before() is None  # one of an older version has no note
    place.note()
    assert place.before() is None


def test_folder_with_two_names_is_one(root):
    (root.parent / "other name").symlink_to(root)
    place.NOTE.write_text(str(root.parent / "other name"))
    assert place.before() is None


@pytest.mark.parametrize("is_there, how", [(True, "is a copy of"), (False, "was moved here from")])
def test_sandbox_from_elsewhere_is_refused(root, is_there, how):
    was = root.parent / "before"
    if is_there:
        was.mkdir()
    place.NOTE.write_text(str(was))
    assert place.before() == was
    with pytest.raises(Mistake, match=f"this clone {how} {was}"):
        place.refuse_another()
