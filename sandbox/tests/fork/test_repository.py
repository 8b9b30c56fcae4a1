"""The fork: where a push goes, what it may know, and what is made anew of what was broken."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from sandbox.builds import pushes
from sandbox.fork import repository, webhook
from sandbox.laptop import processes
from students import in_a_terminal

ENV = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
ENV |= {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
RECORD = "#!/bin/sh\nenv > ../environment\n"


def git(folder, *arguments, code=0, **variables):
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=ENV | variables, capture_output=True, text=True
    )
    assert code is None or done.returncode == code, done.stderr
    return done.stdout.strip() or done.stderr


def commit(folder):
    git(folder, "commit", "-q", "--allow-empty", "-m", os.urandom(4).hex())
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A clone with a fork, to which main and a branch were pushed."""
    clone = tmp_path / "my clone"
    git(tmp_path, "init", "-q", "-b", "main", clone)
    (clone / "file").write_text("text")
    (clone / ".gitignore").write_text(".sandbox\n")
    git(clone, "add", "-A")
    commit(clone)
    monkeypatch.setattr(processes, "ROOT", clone)
    monkeypatch.setattr(repository, "ROOT", clone)
    monkeypatch.setattr(repository, "FOLDER", clone / ".sandbox")
    monkeypatch.setattr(repository, "FORK", clone / ".sandbox" / "fork.git")
    (clone / ".sandbox").mkdir()
    repository.make()
    git(clone, "push", "-q", "sandbox")
    git(clone, "push", "-q", "sandbox", "HEAD:refs/heads/other", "HEAD:refs/tags/v1")
    return clone


def tip(folder, ref="refs/heads/main"):
    """Return what a ref of a folder's fork leads to."""
    return git(folder / ".sandbox" / "fork.git", "rev-parse", "-q", "--verify", ref, code=None)


def test_push_goes_to_the_fork_of_its_own_folder(clone, tmp_path):
    """From a folder below, from a copy, and from where the clone was moved to."""
    (clone / "below").mkdir()
    first = commit(clone)
    git(clone / "below", "push", "sandbox")
    assert tip(clone) == first
    shutil.copytree(clone, tmp_path / "copy", symlinks=True)
    second = commit(tmp_path / "copy")
    git(tmp_path / "copy", "push", "sandbox")
    assert (tip(tmp_path / "copy"), tip(clone)) == (second, first)
    clone.rename(tmp_path / "moved")
    third = commit(tmp_path / "moved")
    git(tmp_path / "moved", "push", "sandbox")
    assert tip(tmp_path / "moved") == third


def test_worktrees_have_forks_of_their_own_and_one_remote(clone, tmp_path):
    tree = tmp_path / "tree"
    git(clone, "worktree", "add", "-q", "-b", "elsewhere", tree)
    said = git(tree, "push", "sandbox", code=128)
    assert "'.sandbox/fork.git' does not appear to be a git repository" in said
    git(tree, "init", "-q", "--bare", ".sandbox/fork.git")
    git(tree, "push", "sandbox")
    assert tip(tree, "elsewhere") and "fatal" in tip(clone, "elsewhere^{commit}") + "fatal"
    repository.remove_remote()
    assert git(clone, "remote") == "sandbox"
    shutil.rmtree(tree / ".sandbox")
    repository.remove_remote()
    assert git(clone, "remote") == ""


def test_remote_of_an_older_sandbox_is_ours(clone):
    git(clone, "config", "remote.sandbox.url", "/elsewhere/.sandbox/fork.git")
    repository.keep_remote_of_student()
    repository.make()
    assert git(clone, "remote", "get-url", "sandbox") == ".sandbox/fork.git"


def test_hook_and_what_it_starts_see_nothing_of_the_student(clone):
    (clone / ".sandbox" / "fork.git" / "hooks" / "post-receive").write_text(RECORD)
    commit(clone)
    secret = "https://user:secret@proxy.example.com"
    known = {"http_proxy": secret, "PIP_INDEX_URL": "https://a/ b", "HOME": '/it\'s a "home"'}
    known |= {"GITHUB_TOKEN": "secret", "AWS_PROFILE": "secret", "TERM": "xterm"}
    git(clone, "push", "sandbox", **known)
    lines = (clone / ".sandbox" / "environment").read_text().splitlines()
    assert "secret" not in " ".join(lines)
    assert {"http_proxy=", "PIP_INDEX_URL=https://a/ b", 'HOME=/it\'s a "home"'} <= {*lines}
    assert "TERM=" in lines and "HTTPS_PROXY=" not in lines


@pytest.mark.parametrize("quiet", [(), ("-q",)])
def test_hook_knows_that_a_terminal_shows_the_push(clone, quiet):
    (clone / ".sandbox" / "fork.git" / "hooks" / "post-receive").write_text(RECORD)
    commit(clone)
    in_a_terminal(SimpleNamespace(clone=clone, env=ENV), "git", "push", *quiet, "sandbox")
    lines = (clone / ".sandbox" / "environment").read_text().splitlines()
    assert "TERM=xterm" in lines


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_our_own_git_trusts_a_clone_of_another_user_without_a_setting(clone, tmp_path, monkeypatch):
    subprocess.run(["chown", "-R", "65534", clone], check=True)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "dubious ownership" in git(clone, "status", code=128, HOME=str(tmp_path))
    new = git(clone, f"--git-dir={clone}/.git", "rev-parse", "HEAD")
    repository.make()
    repository.push("HEAD:refs/heads/pushed")
    (tmp_path / "source").mkdir()
    repository.check_out(new, tmp_path / "source", "", 1)
    assert (tmp_path / "source" / "file").read_text() == "text"


def test_two_pushes_at_once_leave_one_with_a_hint(clone, tmp_path):
    fork = clone / ".sandbox" / "fork.git"
    git(tmp_path, "clone", "-q", fork, "other")
    ways = ((clone, "sandbox"), (tmp_path / "other", "origin"))
    for _ in range(20):
        for folder, remote in ways:
            git(folder, "fetch", "-q", remote)
            git(folder, "reset", "-q", "--hard", f"{remote}/main")
            commit(folder)
        racers = [
            subprocess.Popen(
                ["git", "push", remote, "main"],
                cwd=folder,
                env=ENV,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            for folder, remote in ways
        ]
        said = [racer.communicate()[1] for racer in racers]
        assert sorted(racer.returncode for racer in racers) == [0, 1], said
        late = said[0] if racers[0].returncode else said[1]
        assert "cannot lock ref" not in late
        assert "hint: type your 'git push' again" in late or "(fetch first)" in late


@pytest.mark.parametrize(
    "left", ["1", "no number", str(os.getpid())], ids=["1", "no number", "living"]
)
def test_push_does_not_wait_for_one_that_has_died(clone, left):
    (clone / ".sandbox" / "moving").symlink_to(left)
    new = commit(clone)
    git(clone, "push", "sandbox")
    assert tip(clone) == new


def empty(path):
    path.chmod(0o644)
    path.write_text("")


def put_elsewhere(path):
    """Leave a link to it, as a build may do to have a say in later ones."""
    path.rename(path.parent.parent / "elsewhere")
    path.symlink_to(path.parent.parent / "elsewhere")


def put_file(path):
    shutil.rmtree(path)
    path.write_text("in the way of a folder")


def an_object(fork, name):
    found = git(fork, "rev-parse", name)
    return f"objects/{found[:2]}/{found[2:]}"


DAMAGES = [
    *((shutil.rmtree, name) for name in ("", "objects", "refs", "hooks", "refs/heads")),
    *((put_file, name) for name in ("", "objects", "refs", "hooks", "refs/heads")),
    *((put_elsewhere, name) for name in ("", "objects", "refs", "hooks", "refs/heads", "config")),
    *((empty, name) for name in ("HEAD", "config", "refs/heads/main", "hooks/post-receive")),
    *((Path.unlink, name) for name in ("HEAD", "config", "hooks/post-receive", "main:file")),
    *((empty, name) for name in ("main", "main^{tree}", "main:file")),
]


@pytest.mark.parametrize(
    "damage, name", DAMAGES, ids=[f"{each.__name__}-{name}" for each, name in DAMAGES]
)
def test_broken_fork_is_made_anew(clone, damage, name):
    fork = clone / ".sandbox" / "fork.git"
    before = [tip(clone), tip(clone, "refs/heads/other")]
    damage(fork / (name if (fork / name).exists() else an_object(fork, name)))
    repository.make()
    assert [tip(clone), tip(clone, "refs/heads/other")] == before
    assert git(fork, "fsck") == "" and git(fork, "config", "gc.auto") == "0"
    assert not any(path.is_symlink() for path in [fork, *fork.rglob("*")])
    hooks = {path.name: path.read_text() for path in (fork / "hooks").iterdir()}
    assert hooks == {"pre-receive": repository.TURN, "post-receive": repository.HOOK}
    new = commit(clone)
    git(clone, "push", "sandbox")
    assert tip(clone) == new


def test_what_only_a_broken_fork_had_is_said(clone, tmp_path, capsys):
    fork = clone / ".sandbox" / "fork.git"
    git(tmp_path, "clone", "-q", fork, "colleague")
    git(tmp_path / "colleague", "checkout", "-q", "-b", "theirs")
    lost = commit(tmp_path / "colleague")
    git(tmp_path / "colleague", "push", "origin", "theirs")
    new = commit(clone)
    empty(fork / an_object(fork, "main:file"))
    repository.make()
    assert capsys.readouterr().err.splitlines() == [
        "[sandbox] The fork is broken: it is made anew from this clone",
        f"[sandbox] refs/heads/theirs was at {lost[:7]}, which this clone does not have",
    ]
    assert tip(clone) != new and tip(clone, "refs/tags/v1") == tip(clone)
    repository.make()
    assert capsys.readouterr().err == ""


def test_old_commit_that_git_would_not_make_today_is_no_damage(clone, capsys):
    text = f"tree {git(clone, 'rev-parse', 'HEAD^{tree}')}\nauthor a\ncommitter a\n\nOld\n"
    (clone / "commit").write_text(text)
    old = git(clone, "hash-object", "-t", "commit", "-w", "--literally", "commit")
    git(clone, "push", "sandbox", f"{old}:refs/heads/old")
    assert "error in commit" in git(clone / ".sandbox" / "fork.git", "fsck", code=None)
    repository.make()
    assert capsys.readouterr().err == ""


def test_settings_that_a_build_has_written_are_gone_with_it(clone):
    fork = clone / ".sandbox" / "fork.git"
    git(fork, "config", "core.hooksPath", "/elsewhere")
    git(fork, "config", "transfer.hideRefs", "refs/heads")
    repository.write_hooks()
    assert git(fork, "config", "--list", "--local", "--name-only").splitlines() == [
        "core.repositoryformatversion",
        "core.bare",
        "core.hookspath",
        "receive.denydeletecurrent",
        "receive.autogc",
        "uploadpack.allowanysha1inwant",
        "gc.auto",
    ]


MAIN = [
    {"Type": "EVENT", "Pattern": "PUSH"},
    {"Type": "HEAD_REF", "Pattern": "^refs/heads/main$"},
]


@pytest.mark.parametrize(
    "branch, hint",
    [
        ("main", "git checkout main && git merge feature && git push sandbox"),
        ("master", "git branch -m feature main && git push sandbox"),
    ],
)
def test_branch_that_is_not_built_has_a_hint_that_works(clone, branch, hint):
    git(clone, "branch", "-m", branch)
    git(clone, "branch", "feature")
    push = webhook.Push("a" * 40, "b" * 40, "refs/heads/feature")
    reason = webhook.refusal(push, [MAIN])
    said = [f"refs/heads/feature is not built: {reason}", f"hint: type `{hint}`"]
    assert pushes.why(push, reason) == said


def typed(line, number):
    """Return the words of a command that a line names in backticks."""
    return re.findall(r"`git ([^`]+)`", line)[number].split()


@pytest.mark.parametrize("number", [0, 1], ids=["clone to the fork", "fork to the clone"])
def test_clone_behind_the_fork_is_told_a_way_that_works(clone, number):
    behind = git(clone, "rev-parse", "HEAD")
    ahead = commit(clone)
    git(clone, "push", "sandbox")
    git(clone, "reset", "-q", "--hard", behind)
    line = repository.way_to_main(behind, ahead)
    assert line.startswith("behind the fork's main: ")
    git(clone, "push", "sandbox", code=1)  # what is not advised is refused
    git(clone, *typed(line, number))
    assert tip(clone) == git(clone, "rev-parse", "HEAD") == (ahead, behind)[number]


@pytest.mark.parametrize("number", [0, 1], ids=["on top", "instead"])
def test_clone_beside_the_fork_is_told_a_way_that_works(clone, number):
    theirs = commit(clone)
    git(clone, "push", "sandbox")
    git(clone, "reset", "-q", "--hard", "HEAD~1")
    line = repository.way_to_main(commit(clone), theirs)
    assert line.startswith("beside the fork's main: ")
    git(clone, "push", "sandbox", code=1)
    git(clone, *typed(line, number))
    git(clone, "push", "sandbox")
    assert tip(clone) == git(clone, "rev-parse", "HEAD")
    git(clone, "merge-base", "--is-ancestor", theirs, "HEAD", code=number)


def test_clone_ahead_on_another_branch_is_told_a_way_that_works(clone):
    main = git(clone, "rev-parse", "HEAD")
    git(clone, "checkout", "-q", "-b", "aside")
    head = commit(clone)
    line = repository.way_to_main(head, main)
    assert line.startswith("ahead of the fork's main: ")
    git(clone, *typed(line, 0))
    assert tip(clone) == head
