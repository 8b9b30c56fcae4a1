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


def test_first_lesson_with_the_settings_of_a_developer(tmp_path):
    """Signs of the shell, % and unicode in the path; settings of pip, Python, git and the shell.

    A umask that hides nothing, then one that hides all: up, a green push, status, aws, down.
    """
    junk = tmp_path / "junk"
    junk.mkdir()
    for name in ("yaml", "psutil", "botocore", "awscli"):
        (junk / f"{name}.py").write_text("raise SystemExit('not this one')\n")
    (junk / "sitecustomize.py").write_text("print('this is printed by every Python')\n")
    (tmp_path / "pip.conf").write_text("[install]\nuser = true\n")
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", tmp_path / "mine"], check=True)
    someone = Quick(tmp_path, name='Anna\'s; 100% naïve & "你好" <d> [e]* (f) US$ `g` #h')
    someone.env |= PIP | {
        "PIP_CONFIG_FILE": str(tmp_path / "pip.conf"),
        "PYTHONPATH": str(junk),
        "VIRTUAL_ENV": str(tmp_path / "mine"),
        "PATH": f"{tmp_path}/mine/bin:{someone.env['PATH']}",
        "LANG": "en_US.ISO-8859-1",
        "LC_ALL": "C",
        "TZ": "Asia/Kathmandu",
    }
    (tmp_path / "hooks").mkdir()
    for name in ("pre-push", "pre-commit", "post-checkout", "post-receive", "pre-receive"):
        ours = name.endswith("receive")  # which are the fork's, and must not be called
        (tmp_path / "hooks" / name).write_text(f"#!/bin/sh\nexit {int(ours)}\n")
        (tmp_path / "hooks" / name).chmod(0o755)
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
        settle_in(someone)
    finally:
        someone.leave()
    assert not (someone.home / ".local").exists()


def settle_in(someone):
    """Go the way of a first lesson."""
    first = someone.sandbox("up", preexec_fn=lambda: os.umask(0o000))
    assert first.stdout.splitlines()[0].startswith("http://127.0.0.1:")
    folder, mask = someone.clone / ".sandbox", {"preexec_fn": lambda: os.umask(0o077)}
    assert folder.stat().st_mode & 0o077 == 0  # whatever the umask says
    someone.say("settled in", 'test "$(git status --porcelain)" = ""', "command -v pytest || true")
    push = someone.git("push", "sandbox", **mask)
    assert "SUCCEEDED" in push.stderr
    assert someone.message() == "settled in"
    assert "SUCCEEDED" in someone.sandbox("status", **mask).stdout
    # What `env` prints is for eval, and for nothing else.
    exports = someone.sandbox("env").stdout.splitlines()
    assert all(line.startswith(("export ", "unset ")) for line in exports), exports
    alias = ["lambda", "get-alias", "--function-name", "hello_user", "--name", "live"]
    found = someone.aws(*alias, "--query", "FunctionVersion", "--output", "text").stdout
    assert found.strip() == someone.live()
    someone.sandbox("down", **mask)
    assert someone.processes() == [] and not folder.exists()
    assert not list(someone.clone.glob(".sandbox*"))


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
