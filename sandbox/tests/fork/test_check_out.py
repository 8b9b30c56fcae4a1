"""The checkout of a build, with as much history as GitCloneDepth says."""

import subprocess

import pytest

from sandbox.fork import repository


def git(folder, *arguments):
    done = subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a", *arguments],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


@pytest.fixture
def fork(tmp_path, monkeypatch):
    """A fork with thirty commits on main, a tag, and another branch."""
    fork, work = tmp_path / "fork.git", tmp_path / "work"
    work.mkdir()
    git(work, "init", "-q", "-b", "main")
    for number in range(30):
        git(work, "commit", "-q", "--allow-empty", "-m", f"Commit {number}")
    git(work, "tag", "v1", "HEAD~3")
    git(work, "branch", "other", "HEAD~2")
    git(tmp_path, "clone", "-q", "--bare", work, fork)
    git(fork, "config", "uploadpack.allowAnySHA1InWant", "true")
    monkeypatch.setattr(repository, "FORK", fork)
    return fork


@pytest.mark.parametrize(
    "depth, count, all_refs", [(1, 1, 0), (2, 2, 0), (25, 25, 0), (0, 30, 1), (26, 30, 1)]
)
def test_depth_is_honoured(fork, tmp_path, depth, count, all_refs):
    folder = tmp_path / "src"
    folder.mkdir()
    commit = git(fork, "rev-parse", "main")
    repository.check_out(commit, folder, "https://github.com/you/x.git", depth)
    assert git(folder, "rev-parse", "HEAD") == commit
    assert git(folder, "rev-list", "--count", "HEAD") == str(count)
    refs = git(folder, "for-each-ref", "--format=%(refname)").splitlines()
    assert (
        refs == ["refs/remotes/origin/main", "refs/remotes/origin/other", "refs/tags/v1"] * all_refs
    )
    assert git(folder, "config", "remote.origin.url") == "https://github.com/you/x.git"


def test_commit_that_no_branch_has_any_more_is_checked_out(fork, tmp_path):
    commit = git(fork, "rev-parse", "main")
    git(fork, "update-ref", "refs/heads/main", "main~5")
    for depth in (1, 0):
        folder = tmp_path / f"src{depth}"
        folder.mkdir()
        repository.check_out(commit, folder, "", depth)
        assert git(folder, "rev-parse", "HEAD") == commit
