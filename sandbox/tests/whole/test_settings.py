"""Folders and settings that students have: what can work works, the rest is refused at once."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from clones import PYTHON
from students import Quick, Student

# Each setting was a fault, or could have been one. They are combined, as an `up` takes long.
PIP = {
    "PIP_USER": "1",
    "PIP_TARGET": "/nowhere",
    "PIP_PREFIX": "/nowhere",
    "PIP_NO_BINARY": ":all:",
}
PIP |= {"PIP_REQUIRE_VIRTUALENV": "1", "PIP_CONSTRAINT": "/nowhere", "UV_CONSTRAINT": "/nowhere"}


def settle_in(someone, umask):
    """Go the way of a first lesson with a umask: up, a green push, status, aws, down."""
    mask = {"preexec_fn": lambda: os.umask(umask)}
    first = someone.sandbox("up", **mask)
    assert first.stdout.splitlines()[0].startswith("http://127.0.0.1:")
    someone.say("settled in", 'test "$(git status --porcelain)" = ""', "command -v pytest || true")
    push = someone.git("push", "sandbox", **mask)
    assert "SUCCEEDED" in push.stderr
    assert someone.message() == "settled in"
    assert "SUCCEEDED" in someone.sandbox("status", **mask).stdout
    folder = someone.clone / ".sandbox"
    assert folder.stat().st_mode & 0o077 == 0  # whatever the umask says
    # What `env` prints is for eval, and for nothing else.
    exports = someone.sandbox("env").stdout.splitlines()
    assert all(line.startswith(("export ", "unset ")) for line in exports), exports
    assert (
        someone.live()
        == someone.aws(
            *("lambda", "get-alias", "--function-name", "hello_user", "--name", "live"),
            *("--query", "FunctionVersion", "--output", "text"),
        ).stdout.strip()
    )
    someone.sandbox("down", **mask)
    assert someone.processes() == [] and not folder.exists()
    assert not list(someone.clone.glob(".sandbox*"))


def test_first_lesson_with_the_settings_of_a_python_developer(tmp_path):
    """An apostrophe, % and unicode in the path; settings of pip, Python and the shell."""
    junk = tmp_path / "junk"
    junk.mkdir()
    for name in ("yaml", "psutil", "botocore", "awscli"):
        (junk / f"{name}.py").write_text("raise SystemExit('not this one')\n")
    (junk / "sitecustomize.py").write_text("print('this is printed by every Python')\n")
    (tmp_path / "pip.conf").write_text("[install]\nuser = true\n")
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", tmp_path / "mine"], check=True)
    someone = Quick(tmp_path, name="Anna's 100% naïve 你好 clone")
    someone.env |= PIP | {
        "PIP_CONFIG_FILE": str(tmp_path / "pip.conf"),
        "PYTHONPATH": str(junk),
        "VIRTUAL_ENV": str(tmp_path / "mine"),
        "PATH": f"{tmp_path}/mine/bin:{someone.env['PATH']}",
        "LANG": "C",
        "LC_ALL": "C",
        "TZ": "Asia/Kathmandu",
    }
    try:
        settle_in(someone, 0o077)
    finally:
        someone.leave()
    assert not (someone.home / ".local").exists()


def test_first_lesson_with_the_settings_of_a_git_user(tmp_path):
    """Signs of the shell in the path; hooks, line ends and pushes set up in another way."""
    someone = Quick(tmp_path, name='a; b & "c" <d> [e]* (f) US$ `g` #h')
    (tmp_path / "hooks").mkdir()
    for name in ("pre-push", "pre-commit", "post-checkout", "post-receive", "pre-receive"):
        (tmp_path / "hooks" / name).write_text("#!/bin/sh\ntest $0 != ${0%receive}\n")
        (tmp_path / "hooks" / name).chmod(0o755)
    for name in ("pre-push", "pre-commit", "post-checkout"):
        (tmp_path / "hooks" / name).write_text("#!/bin/sh\nexit 0\n")
    someone.env |= {"TZ": "Pacific/Kiritimati", "LANG": "en_US.ISO-8859-1"}
    for key, value in (
        ("core.hooksPath", tmp_path / "hooks"),
        ("core.autocrlf", "true"),
        ("push.default", "nothing"),
        ("receive.denyNonFastForwards", "true"),
        ("transfer.fsckObjects", "true"),
        ("init.defaultBranch", "trunk"),
        ("push.followTags", "true"),
    ):
        someone.git("config", "--global", key, value)
    try:
        settle_in(someone, 0o000)
    finally:
        someone.leave()


@pytest.mark.parametrize(
    "name, why",
    [
        ("at 12:30", "a colon, which no folder named in PATH may have"),
        ("my $HOME", "what the AWS CLI takes for a variable, and replaces: '$HOME'"),
        ("two\nlines", "a character that no terminal shows: '\\n'"),
    ],
)
def test_folder_that_cannot_work_is_refused_before_anything_is_made(tmp_path, name, why):
    someone = Student(tmp_path, name=name)
    for command in ("up", "test", "check"):
        said = someone.sandbox(command, code=2)
        assert said.stdout == ""
        assert f"has {why}" in said.stderr and "Traceback" not in said.stderr
        hint = said.stderr[said.stderr.index("hint: rename the folder") :]
        assert "`mv " in hint
    assert not (someone.clone / ".sandbox").exists()
    # What the hint says works.
    words = hint[hint.index("`") + 1 : hint.rindex("`")].replace("~", str(tmp_path))
    someone.type("sh", "-c", words, cwd=tmp_path)
    assert (tmp_path / "hello-user" / "README.md").exists()


def test_path_of_these_tests_has_only_what_the_tutorial_needs(tmp_path):
    someone = Student(tmp_path)
    found = {
        name: shutil.which(name, path=someone.env["PATH"])
        for name in ("python", "pip", "pip3", "zip", "aws", "uv", "pytest", "python3", "git")
    }
    assert [name for name, path in found.items() if path] == ["python3", "git"]
    assert Path(found["python3"]).parent == Path(found["git"]).parent
