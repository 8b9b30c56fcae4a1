"""A second clone beside the first, moved, copied or taken down: no push goes astray."""

import os
import re
import shutil
import subprocess

import psutil
import pytest

from clones import TIMEOUT
from students import SLOW, Quick, is_back, lives


@pytest.fixture(scope="module")
def owner(tmp_path_factory):
    """A student whose sandbox is up, whose clone the others copy or move."""
    someone = Quick(tmp_path_factory.mktemp("owner"))
    try:
        someone.say("the owner's")
        someone.up()
        someone.settle()
        yield someone
    finally:
        someone.leave()


def at(someone, folder):
    """Return the same student in another folder."""
    other = Quick.__new__(Quick)
    other.home, other.clone, other.env = someone.home, folder, someone.env
    return other


@pytest.fixture(scope="module")
def copier(owner, tmp_path_factory):
    """The owner, at work in a copy of the clone; the last test with it takes that down."""
    someone = at(owner, tmp_path_factory.mktemp("copier") / "copy")
    subprocess.run(["cp", "-r", owner.clone, someone.clone], check=True)
    yield someone
    someone.leave()


def test_copy_is_told_by_every_command(owner, copier):
    for command in (["status"], ["url"], ["env"], ["build"], ["check"], ["test", "x"]):
        said = copier.sandbox(*command, code=2)
        assert (said.stdout, said.stderr.splitlines()) == (
            "",
            [
                f"error: this clone is a copy of {owner.clone}, and its sandbox works only there",
                "hint: type `python3 -m sandbox up`: "
                "it sets the sandbox up here, with all builds so far",
            ],
        )
    assert owner.sandbox("status").stderr == ""


def test_push_of_a_copy_lands_in_its_own_fork_and_says_what_to_do(owner, copier):
    commit = owner.git("--git-dir=.sandbox/fork.git", "rev-parse", "main").stdout
    count = len(owner.builds())
    astray = copier.say("astray")
    assert copier.push() == [
        f"[sandbox] error: this clone is a copy of {owner.clone}, and its sandbox works only there",
        "[sandbox] hint: type `python3 -m sandbox up`: "
        "it sets the sandbox up here, with all builds so far",
        "[sandbox] the push has landed and NOTHING WAS BUILT",
    ]
    landed = copier.git("--git-dir=.sandbox/fork.git", "rev-parse", "main").stdout
    assert landed.strip() == astray
    assert owner.git("--git-dir=.sandbox/fork.git", "rev-parse", "main").stdout == commit
    assert len(owner.builds()) == count


def test_clone_of_the_fork_may_push(owner, tmp_path):
    owner.git("clone", "-q", owner.clone / ".sandbox" / "fork.git", tmp_path / "colleague")
    other = at(owner, tmp_path / "colleague")
    other.git("checkout", "-q", "-b", "theirs")
    other.commit("Elsewhere")
    said = other.git("push", "origin", "theirs").stderr
    assert "hello_user-tests: " in said  # whatever its tests say


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_clone_that_belongs_to_somebody_else(owner):
    """As a mounted folder may: git asks for a setting, and with that all works."""

    def give(user):
        subprocess.run(["chown", "-Rhf", str(user), owner.clone])

    give(65534)
    try:
        said = owner.sandbox("up", code=2).stderr
        command = f"git config --global --add safe.directory '{owner.clone}'"
        assert said == (
            f"error: detected dubious ownership in repository at '{owner.clone}'\n"
            f"hint: type `{command}`, then `python3 -m sandbox up`\n"
        )
        owner.type("sh", "-c", command)
        owner.say("the owner's")
        owner.settle()
        give(65534)
        assert "SUCCEEDED" in owner.push()[-1], owner.log()
        assert owner.message() == "the owner's"
        owner.git("pull", "-q", "sandbox", "main")
        owner.up()
    finally:
        give(0)


def test_down_in_a_copy_installs_nothing_and_leaves_the_original(owner, copier):
    said = copier.sandbox("down").stderr
    assert "environment" not in said and "Installing" not in said
    assert said.endswith("] Nothing of the sandbox is left in this clone but your commits\n")
    assert not (copier.clone / ".sandbox").exists()
    assert copier.git("remote").stdout == ""
    assert owner.lives() and owner.message() == "the owner's"
    assert owner.git("remote").stdout == "sandbox\n"


def test_two_sandboxes_share_nothing(quick, owner):
    ports = [
        {
            connection.laddr.port
            for connection in psutil.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
            and connection.pid == someone.account()["pid"]
        }
        for someone in (quick, owner)
    ]
    assert all(ports) and not ports[0] & ports[1]
    quick.say("mine")
    owner.say("theirs")
    push = owner.start_push()
    quick.push()
    push.wait(TIMEOUT)
    is_back(quick, "mine")
    is_back(owner, "theirs")


@pytest.mark.long
def test_moved_clone_comes_back_and_leaves_nothing_behind(owner):
    owner.settle()  # nobody makes anything any more where it was
    before, word = owner.clone, owner.message()
    owner.clone = before.with_name("moved 'clone'")
    before.rename(owner.clone)
    owner.up()
    assert owner.message() == word
    assert not before.exists()
    assert sum(line.endswith(" serve") for line in owner.processes()) == 1
    assert not [
        process
        for process in psutil.process_iter(["cmdline"])
        if str(before) in " ".join(process.info["cmdline"] or [])
    ]
    owner.say("moved")
    assert "SUCCEEDED" in owner.push()[-1]
    is_back(owner, "moved")


def test_down_during_a_build_ends_the_push_and_up_starts_while_it_still_deletes(owner, tmp_path):
    mark = tmp_path / "pid"
    owner.say("down", f"echo $$ > '{mark}'; {SLOW}")
    push = owner.start_push(stderr=subprocess.PIPE)
    owner.wait_for(mark.exists)
    script = (
        "import os, time\n"
        "from sandbox.cli import main\n"
        "from sandbox.laptop import place\n"
        "delete = place.delete\n"
        "def slow(folder):\n"
        f"    open({str(tmp_path / 'deletes')!r}, 'w').close()\n"
        f"    while not os.path.exists({str(tmp_path / 'go')!r}): time.sleep(0.02)\n"
        "    delete(folder)\n"
        "place.delete = slow\n"
        "raise SystemExit(main(['down']))\n"
    )
    down = owner.start(owner.python, "-c", script, stderr=subprocess.PIPE)
    owner.wait_for((tmp_path / "deletes").exists)
    said = push.communicate(timeout=TIMEOUT)[1]
    assert (
        re.search(r"BUILD \d+ STOPPED|the sandbox has been taken down meanwhile", said)
        and "Traceback" not in said
    )
    assert not lives(int(mark.read_text()))
    [own] = owner.processes()  # nothing runs but `down` itself
    assert "import os, time" in own and not (owner.clone / ".sandbox").exists()
    assert owner.git("status", "--porcelain").stdout == ""
    owner.say("up at once")
    owner.up()
    assert down.poll() is None
    (tmp_path / "go").touch()
    said = down.communicate(timeout=TIMEOUT)[1]
    assert down.returncode == 0, said
    assert "Removing .sandbox/: some ten thousand files" in said
    assert not list(owner.clone.glob(".sandbox-down-*"))
    is_back(owner, "up at once")


def test_moved_clone_is_told_and_down_ends_its_account(owner, tmp_path):
    """The last test of this file: it takes the owner's sandbox down."""
    before, pid = owner.clone, owner.account()["pid"]
    outside = owner.type(
        *(owner.python, "-c"),
        "from sandbox.laptop import paths; print(paths.OUTSIDE)",
    ).stdout.strip()
    owner.clone = tmp_path / "moved"
    shutil.move(before, owner.clone)
    said = owner.sandbox("status", code=2).stderr
    assert said.startswith(f"error: this clone was moved here from {before}, and its sandbox works")
    said = owner.sandbox("down").stderr
    assert "environment" not in said and "Installing" not in said
    assert not (owner.clone / ".sandbox").exists() and not before.exists()
    assert owner.git("remote").stdout == ""
    owner.wait_for(lambda: pid not in pids())
    assert not owner.type("sh", "-c", f"ls -d {outside} || true").stdout


def pids():
    return [
        process.pid
        for process in psutil.process_iter(["status"])
        if process.info["status"] != psutil.STATUS_ZOMBIE
    ]
