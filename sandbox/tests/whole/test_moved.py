"""A clone that was moved or copied after `up`: every command sees it, and no push goes astray."""

import shutil
import subprocess

import pytest

from students import Quick


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


def test_push_of_a_copy_is_refused_by_the_fork_of_the_original(owner, copier):
    commit = owner.git("--git-dir=.sandbox/fork.git", "rev-parse", "main").stdout
    count = len(owner.builds())
    copier.say("astray")
    (copier.clone / "below").mkdir()
    for folder in (copier.clone, copier.clone / "below"):
        said = copier.git("push", "sandbox", code=1, cwd=folder).stderr
        assert "[sandbox] error: your clone is a copy of another, whose fork this is" in said
        assert "[sandbox] hint: type `python3 -m sandbox up`: it makes a fork for the copy" in said
    assert owner.git("--git-dir=.sandbox/fork.git", "rev-parse", "main").stdout == commit
    assert len(owner.builds()) == count


def test_worktree_and_clone_of_the_fork_may_push(owner, tmp_path):
    """They are no copies: a worktree shares its git directory, the other knows whose fork it is."""
    owner.git("worktree", "add", "-q", tmp_path / "tree")
    owner.git("clone", "-q", owner.clone / ".sandbox" / "fork.git", tmp_path / "colleague")
    for name, remote in (("tree", "sandbox"), ("colleague", "origin")):
        other = at(owner, tmp_path / name)
        other.git("checkout", "-q", "-b", f"from-{name}")
        other.commit("Elsewhere")
        said = other.git("push", remote, f"from-{name}").stderr
        assert f"refs/heads/from-{name} is not built: the webhook's filter" in said
    owner.git("worktree", "remove", "--force", tmp_path / "tree")


def test_down_in_a_copy_installs_nothing_and_leaves_the_original(owner, copier):
    said = copier.sandbox("down").stderr
    assert "environment" not in said and "Installing" not in said
    assert said.splitlines()[-1] == "[sandbox] Nothing of the sandbox is left but your commits"
    assert not (copier.clone / ".sandbox").exists()
    assert copier.git("remote").stdout == ""
    assert owner.lives() and owner.message() == "the owner's"
    assert owner.git("remote").stdout == "sandbox\n"


def test_remote_that_leads_to_another_clone_is_told_and_mended_by_up(owner, tmp_path):
    """As in worktrees of one repository, which share their remotes."""
    own = owner.git("config", "remote.sandbox.url").stdout
    leads = tmp_path / ".sandbox" / "fork.git"
    owner.git("init", "-q", "--bare", leads)
    owner.git("config", "remote.sandbox.url", leads)
    told = [
        f"[sandbox] The remote sandbox leads to the fork of another clone: {leads}",
        "[sandbox] hint: after `python3 -m sandbox up` here it leads to the fork of this one",
    ]
    assert owner.sandbox("status").stderr.splitlines() == told
    script = "from sandbox.fork import repository; repository.remove_remote()"
    owner.type(owner.clone / ".sandbox" / "venv" / "bin" / "python", "-c", script)
    assert owner.git("config", "remote.sandbox.url").stdout.strip() == str(leads)  # not ours to end
    assert owner.up().splitlines()[:2] == told
    assert owner.git("config", "remote.sandbox.url").stdout == own


def test_moved_clone_is_told_and_down_ends_its_account(owner, tmp_path):
    """The last test of this file: it takes the owner's sandbox down."""
    before, pid = owner.clone, owner.account()["pid"]
    outside = owner.type(
        *(before / ".sandbox" / "venv" / "bin" / "python", "-c"),
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
    import psutil

    return [
        process.pid
        for process in psutil.process_iter(["status"])
        if process.info["status"] != psutil.STATUS_ZOMBIE
    ]
