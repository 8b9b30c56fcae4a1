"""The whole path: up, push, test, live, down."""

import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from clones import PYTHON
from sandbox import cli
from sandbox.laptop import bootstrap, paths
from students import change_greeting, in_a_terminal, seen

HELLO = "?user=CI%20CD%20Developer"


def test_push_red_leaves_the_endpoint_and_green_goes_live(student):
    """What else a tool may say, and what then is advised: see builds/test_hints.py."""
    before = student.live()
    student.edit("hello_user.py", '"hello user"', '"good day"')
    student.commit("Greet otherwise")
    lines = student.push()
    assert any("AssertionError" in line for line in lines)
    error, said, hint, _, last = lines[-5:]  # _ is where to look
    assert error.startswith("[sandbox] error: Error while executing command: pytest")
    failed = "test_hello_user_without_a_user[http-no-query]: AssertionError: assert {"
    assert said.startswith(f"[sandbox] said: {failed}")
    assert hint.startswith("[sandbox] hint: ")
    assert 'mend it, `git commit -am "…"`, then `git push sandbox`' in hint
    assert last == (
        f"[sandbox] BUILD {student.newest()} FAILED in BUILD: nothing was released, "
        f"version {before} is still live"
    )
    assert student.message() == "hello user"
    assert student.message("?user=CI%20CD%20Developer") == "Hello CI CD Developer!"
    assert student.live() == before
    assert student.sandbox("status", code=1).stdout.count("FAILED in BUILD") >= 1
    student.edit("hello_user.py", '"good day"', '"hello user"')
    commit = change_greeting(student, "Welcome")
    lines = student.push()
    assert lines[-1].startswith(f"[sandbox] BUILD {student.newest()} SUCCEEDED: version ")
    assert lines[-2].endswith(student.url())
    assert len(lines) <= 66  # what is the same in each build is left out
    assert student.message("?user=Ada") == "Welcome Ada!"
    assert int(student.live()) > int(before)
    listed = student.client("lambda").list_versions_by_function(FunctionName="hello_user")
    newest = listed["Versions"][-1]
    assert (newest["Version"], newest["Description"]) == (student.live(), commit)
    shown = student.sandbox("status").stdout
    assert f"version {student.live()} (commit {commit[:7]}: Say Welcome)" in shown
    # Another commit is forced in its place.
    student.git("reset", "-q", "--hard", "HEAD~1")
    student.edit("hello_user.py", '"good day"', '"hello user"')
    commit = student.commit("Greet as ever")
    lines = student.push("--force")
    assert "SUCCEEDED" in lines[-1]
    assert student.builds()[-1]["commit"] == commit
    assert student.message("?user=Ada") == "Hello Ada!"


RELEASE = """
import subprocess


def test_release():
    pack = "python -m zipfile -c x.zip hello_user.py"
    call = "aws lambda update-function-code --function-name hello_user --zip-file fileb://x.zip"
    done = subprocess.run(f"{pack} && {call}", shell=True, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
"""


def test_push_of_a_branch_is_tested_and_may_release_nothing(student):
    live = student.live()
    student.git("checkout", "-q", "-b", "feature")
    tests = (student.clone / "test_hello_world.py").read_text()
    student.write("test_hello_world.py", tests + RELEASE)
    # The commands are those of the project: whoever changes this file changes none of them.
    student.write("buildspec.yml", "nonsense")
    student.commit("Try to release from a branch")
    lines = student.push()
    refused = "AccessDeniedException) when calling the UpdateFunctionCode operation"
    assert any(refused in line for line in lines)
    number = student.newest()
    told = f"nothing is released from a branch, version {live} is still live"
    assert lines[-1] == f"[sandbox] BUILD {number} FAILED in BUILD of hello_user-tests: {told}"
    student.git("reset", "-q", "--hard", "HEAD~1")
    lines = student.push("--force", "feature")
    student.git("checkout", "-q", "main")
    assert f"SUCCEEDED in hello_user-tests: the commit is tested; {told}" in lines[-1]
    assert any(line.startswith("[sandbox] report hello_user-tests-pytest: ") for line in lines)
    assert student.live() == live
    shown = student.sandbox("status").stdout
    assert f"project   hello_user-tests: build {student.newest()} SUCCEEDED" in shown
    found = student.aws(
        *("codebuild", "list-builds-for-project", "--project-name", "hello_user-tests"),
        *("--query", "ids[0]", "--output", "text"),
    ).stdout.strip()
    query = "builds[0].[projectName,logs.groupName,buildStatus,initiator]"
    answer = student.aws(
        *("codebuild", "batch-get-builds", "--ids", found, "--query", query, "--output", "text")
    )
    assert answer.stdout.split() == [
        "hello_user-tests",
        "/aws/codebuild/hello_user-tests",
        "SUCCEEDED",
        "GitHub-Hookshot/sandbox",
    ]


def test_push_of_branch_and_main_builds_each_in_its_project(student):
    before = len(student.builds())
    commit = student.commit("Several refs at once")
    student.git("tag", "v1")
    lines = student.push("main", "v1", "main:other", ":feature")
    assert any("refs/tags/v1 is not built: the webhook's filter HEAD_REF" in line for line in lines)
    assert any("refs/heads/feature is not built: it was deleted" in line for line in lines)
    built = [(build["project"], build["commit"]) for build in student.builds()[before:]]
    assert built == [("hello_user", commit), ("hello_user-tests", commit)]
    student.sandbox("build", "other")
    assert [build["project"] for build in student.builds()[before + 2 :]] == ["hello_user-tests"]


def test_students_tests_have_what_requirements_names_and_no_more(student):
    """As in a build; what the sandbox's own tests need is not even downloaded."""
    wanted = (student.clone / "requirements.txt").read_text()
    student.write("test_mine.py", "def test_mine():\n    import idna\n")
    try:
        red = student.sandbox("test", "test_mine.py", code=1)
        assert "No module named 'idna'" in red.stdout and red.stderr.endswith("same again\n")
        student.write("requirements.txt", f"{wanted}idna==3.20\n")
        assert "1 passed" in student.sandbox("test", "test_mine.py::test_mine").stdout
        student.write("requirements.txt", wanted)
        assert "No module named 'idna'" in student.sandbox("test", "test_mine.py", code=1).stdout
        student.write("requirements.txt", f"{wanted}no such\n")
        said = student.sandbox("test", "test_mine.py", code=2).stderr
        assert "error: requirements.txt could not be installed:\n" in said
        (student.clone / "requirements.txt").unlink()
        said = student.sandbox("test", "test_mine.py", code=2).stderr
        assert "hint: type `git checkout HEAD -- requirements.txt`" in said
    finally:
        student.write("requirements.txt", wanted)
        (student.clone / "test_mine.py").unlink()
    venv = student.clone / ".sandbox" / "venv"
    assert not list(venv.glob("lib/python*/site-packages/xdist"))


def test_build_of_a_red_commit_exits_1_and_of_main_needs_no_push(quick):
    red = quick.say("red", "exit 1")
    quick.push("HEAD:refs/tags/red")  # which no webhook builds
    quick.git("reset", "-q", "--hard", "HEAD~1")
    before = quick.live()
    quick.sandbox("build", red, code=1)
    assert quick.builds()[-1]["phase"] == "PRE_BUILD"
    assert quick.live() == before
    count = len(quick.builds())
    said = quick.sandbox("build")
    record = quick.builds()[-1]
    assert len(quick.builds()) == count + 1
    found = (record["status"], record["ref"], record["source_version"])
    assert found == ("SUCCEEDED", None, "main")
    assert "Phase complete: POST_BUILD State: SUCCEEDED" in said.stdout


def test_main_deleted_and_moved_back_is_told_with_what_is_live(quick):
    old, word = quick.git("rev-parse", "HEAD").stdout.strip(), quick.message()
    live = f"[sandbox] Version {quick.release('newer')} is live (no description)"
    assert quick.push(":main")[-1] == live
    quick.git("reset", "-q", "--hard", old)
    lines = quick.sandbox("up").stderr.splitlines()
    hint = lines[lines.index(live) + 1]
    assert hint.startswith("[sandbox] hint: type `python3 -m sandbox build`")
    assert quick.message() == "newer"
    quick.sandbox("build")
    assert quick.message() == word
    lines = quick.sandbox("up").stderr.splitlines()
    assert not [line for line in lines if "is live" in line]


def test_build_of_an_unknown_commit_exits_2(quick):
    said = quick.sandbox("build", "no-such-thing", code=2).stderr
    assert (
        said == "error: the fork has no commit 'no-such-thing'\n"
        "hint: push it first: `git push sandbox`\n"
    )


def test_env_lets_plain_aws_read_the_build_log(quick):
    text = quick.aws(
        "logs",
        "filter-log-events",
        "--log-group-name",
        "/aws/codebuild/hello_user",
        "--log-stream-names",
        quick.builds()[-1]["id"],
        "--query",
        "events[].message",
        "--output",
        "json",
    ).stdout
    assert any("Phase complete: POST_BUILD State: SUCCEEDED" in line for line in json.loads(text))


def test_sockets_are_on_loopback_only(quick):
    pids = {
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if str(quick.clone / ".sandbox") in " ".join(process.info["cmdline"] or [])
    }
    listening = [
        connection.laddr.ip
        for connection in psutil.net_connections("inet")
        if connection.pid in pids and connection.status == psutil.CONN_LISTEN
    ]
    assert listening and set(listening) == {"127.0.0.1"}


def test_environment_is_made_once_up_answers_and_down_leaves_nothing(newcomer):
    newcomer.edit("requirements.txt", "awscli==", "# awscli==")  # most files of a build
    newcomer.commit("Without the AWS CLI")
    before = sorted(path.name for path in newcomer.clone.iterdir())
    making = "Making the sandbox's Python environment"
    said = in_a_terminal(newcomer, PYTHON, "-m", "sandbox", "check")
    assert making in said
    assert re.search(r"\d+ packages", "\n".join(seen(said.split("Installed")[1])))
    first = newcomer.sandbox("up")
    assert making not in first.stderr
    address, curl = first.stdout.splitlines()[:2]
    assert address == newcomer.url()
    assert newcomer.get() == (200, '{"message": "hello user"}')
    assert newcomer.get(HELLO) == (200, '{"message": "Hello CI CD Developer!"}')
    command = curl.removeprefix("Try it: ")
    assert newcomer.type("bash", "-c", command).stdout == newcomer.get(HELLO)[1]
    assert "No commands found for phase name: install" in first.stderr
    newcomer.git("config", "--global", "--unset", "user.email")
    again = newcomer.sandbox("up").stderr
    assert "has built (SUCCEEDED)" in again and "`git config --global user.email 'yours'`" in again
    assert "git config" not in first.stderr
    assert len(newcomer.builds()) == 1
    assert newcomer.processes()
    shown = seen(in_a_terminal(newcomer, PYTHON, "-m", "sandbox", "down"))
    assert shown[-2].endswith("] Nothing of the sandbox is left in this clone but your commits")
    assert sum("Removing" in line for line in shown) == 1
    assert newcomer.processes() == []
    assert sorted(path.name for path in newcomer.clone.iterdir()) == before
    assert newcomer.git("remote").stdout == ""
    assert newcomer.git("status", "--porcelain").stdout == ""
    # What was downloaded is kept for the next `up`; here it is elsewhere, by the tests' settings.
    downloads = newcomer.home.resolve() / ".cache" / "hello-user"
    if sys.platform == "darwin":
        downloads = newcomer.home.resolve() / "Library" / "Caches" / "hello-user"
    (downloads / "uv").mkdir()
    assert newcomer.sandbox("down").stderr == "[sandbox] There is no sandbox here\n"
    assert (downloads / "uv").exists()
    said = newcomer.sandbox("down", "--all").stderr.splitlines()
    assert said[0].startswith("[sandbox] Removing ") and "hello-user" in said[0]
    # pip asks rustc for its version, which rustup answers with a folder of its own.
    left = {path.name for path in newcomer.home.iterdir()} - {".rustup"}
    assert left == {".gitconfig", downloads.relative_to(newcomer.home.resolve()).parts[0]}
    assert list(downloads.parent.iterdir()) == []
    said = newcomer.sandbox("url", code=2).stderr
    assert said == "error: there is no sandbox here yet\nhint: type `python3 -m sandbox up`\n"


def test_up_that_cannot_begin_says_what_to_type(newcomer, tmp_path):
    """Without git, a network, venv, a new Python, a clone, or a commit in it."""

    plain = {name: value for name, value in newcomer.env.items() if not name.startswith("PIP_")}

    def up(*command, **env):
        words = command or (PYTHON, "-m", "sandbox", "up")
        done = newcomer.type(*words, code=2, env=plain | env)
        assert done.stdout == "" and done.stderr.splitlines()[-1].startswith("hint: ")
        return done.stderr

    (tmp_path / "bin").mkdir()
    said = up(PATH=str(tmp_path / "bin"))
    assert said.startswith("error: git was not found on this machine\n")
    index = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_CONFIG_FILE": "/dev/null"}
    said = up(**index, PIP_NO_CACHE_DIR="1", PIP_RETRIES="0")
    assert "error: the sandbox's environment could not be made" in said
    assert "\nhint: check the network" in said
    code = "import runpy, sys; sys.modules['ensurepip'] = None; sys.argv[1:] = ['up']; "
    code += "runpy.run_module('sandbox', run_name='__main__', alter_sys=True)"
    said = up(PYTHON, "-c", code)
    assert said.startswith("error: this Python has no venv module\n")
    version = ".".join(map(str, sys.version_info[:2]))
    assert f"python{version}-venv" in said
    program = newcomer.clone / "sandbox" / "__main__.py"
    program.write_text((text := program.read_text()).replace("< (3, 10)", "< (999, 0)"))
    said = up()
    assert said.startswith(f"error: this is Python {version}; the sandbox needs 3.10 or newer\n")
    program.write_text(text)
    shutil.rmtree(newcomer.clone / ".git")
    said = up()
    assert "is not a git clone" in said and "type `git clone URL`" in said
    newcomer.git("init", "-q")
    said = up()
    assert "this clone has no commit yet" in said and "git add -A && git commit -m Start" in said


def test_down_removes_what_only_a_check_has_made(newcomer):
    (newcomer.clone / ".sandbox" / "venv.next").mkdir(parents=True)
    said = newcomer.sandbox("down").stderr
    assert said.endswith("] Nothing of the sandbox is left in this clone but your commits\n")
    assert not list(newcomer.clone.glob(".sandbox*"))
    assert newcomer.sandbox("down").stderr == "[sandbox] There is no sandbox here\n"


def test_up_that_cannot_be_set_up_leaves_nothing_running(newcomer):
    """The first build's environment is being made when it fails."""
    newcomer.edit("sandbox/requirements.txt", "psutil==", "psutil==999.")
    said = in_a_terminal(newcomer, PYTHON, "-m", "sandbox", "up", code=2)
    assert "psutil==999." in said
    assert "could not be made:\r\nit says why above\r\nhint: check the network" in said
    assert newcomer.processes() == []
    assert not (newcomer.clone / ".sandbox" / "venv").exists()


@pytest.mark.parametrize(
    "version, lends",
    [
        ("22.2.2", False),
        ("22.3", True),
        ("26.2", True),
        ("23.0.dev0", True),
        ("unknown", False),
        (None, False),
    ],
)
def test_pip_is_lent_only_if_it_can_install_for_another_python(monkeypatch, version, lends):
    def version_of(_):
        if version is None:
            raise importlib.metadata.PackageNotFoundError
        return version

    monkeypatch.setattr(importlib.metadata, "version", version_of)
    assert bootstrap.lends_pip() is lends


def test_downloads_are_in_one_folder_for_all_clones(tmp_path, monkeypatch):
    """Unless the student's own settings name others."""
    seen = []

    def run(*command, env=None, **options):
        seen.append({name: env[name] for name in ("UV_CACHE_DIR", "PIP_CACHE_DIR")})
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(bootstrap, "run", run)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("UV_CACHE_DIR", "PIP_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    usual = tmp_path / ("Library/Caches" if sys.platform == "darwin" else ".cache")

    def asked() -> dict[str, str]:
        bootstrap.step("uv", "cache", "dir")
        return seen.pop()

    def below(folder: Path) -> dict[str, str]:
        return {"UV_CACHE_DIR": str(folder / "uv"), "PIP_CACHE_DIR": str(folder / "pip")}

    assert asked() == below(usual / "hello-user")
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    assert asked() == below(usual / "hello-user")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert asked() == below(tmp_path / "xdg" / "hello-user")
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))  # nothing can be made there
    assert asked() == below(paths.FOLDER / "cache")
    monkeypatch.setenv("UV_CACHE_DIR", "/elsewhere")
    assert asked()["UV_CACHE_DIR"] == "/elsewhere"


def test_aws_has_no_models_of_its_own_and_works(quick):
    """They are botocore's, which are compressed; `up` has deployed with them."""
    packages = next((quick.clone / ".sandbox" / "venv").glob("lib/python*/site-packages"))
    assert (packages / "awscli" / "botocore" / "data").readlink() == Path("../../botocore/data")
    assert not (packages / "pip").exists()
    env = quick.aws_environment()
    asked = ["aws", "lambda", "list-functions", "--query", "Functions[].FunctionName"]
    assert json.loads(quick.type(*asked, env=env).stdout) == ["hello_user"]
    said = quick.type("aws", "lambda", "wait", "help", env=env | {"AWS_PAGER": "cat"}, code=None)
    assert "function-updated-v2" in said.stdout + said.stderr or "groff" in said.stderr


@pytest.mark.parametrize(
    "typed, said",
    [
        (
            ["statsu"],
            "error: there is no command 'statsu'\nhint: type `python3 -m sandbox status`\n",
        ),
        (["xyz"], "error: there is no command 'xyz'\nhint: type `python3 -m sandbox --help`\n"),
        (
            ["test", "test_helo_world.py::test_it"],
            "error: there is no file 'test_helo_world.py', expected one like "
            "test_hello_world.py\nhint: type `git ls-files '*test_*.py'` to see which there are\n",
        ),
    ],
)
def test_name_that_there_is_not_is_told(capsys, typed, said):
    assert cli.main(typed) == 2
    assert capsys.readouterr().err == said


def test_no_command_shows_which_there_are(capsys):
    assert cli.main([]) == 2
    shown = capsys.readouterr().err
    assert all(re.search(rf"(?m)^    {name}\b", shown) for name in cli.COMMANDS)
    assert "receive" not in shown


def test_outdated_environment_stays_until_another_is_ready(quick):
    """No push makes it; without a network there is none, and what runs goes on; `up` mends it."""
    pins = (quick.clone / "sandbox" / "requirements.txt").read_text()
    ready, before = quick.clone / ".sandbox" / "venv" / "ready", quick.account()
    known = ready.read_text()
    try:
        quick.say("goes on")
        quick.write("sandbox/requirements.txt", pins.replace("psutil==", "psutil==999."))
        said = quick.push()
        assert "SUCCEEDED" in said[-1]
        assert not [line for line in said if "Python environment" in line]
        for command in ("url", "status", "env"):
            assert "Python environment" not in quick.sandbox(command).stderr
        said = quick.sandbox("up", code=2).stderr
        assert "could not be made" in said and "psutil==999." in said
        assert ready.read_text() == known and quick.account() == before and quick.lives()
        assert quick.message() == "goes on"
        quick.write("sandbox/requirements.txt", f"{pins}# another\n")
        assert "Making the sandbox's Python environment" in quick.up()
        assert ready.read_text() != known and quick.account()["pid"] != before["pid"]
        assert quick.message() == "goes on"
        assert not list((quick.clone / ".sandbox").glob("venv.*"))
    finally:
        quick.write("sandbox/requirements.txt", f"{pins}# another\n")
