"""The bare repository below .sandbox/, its hook, and the remote that leads to it."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

from sandbox import Mistake
from sandbox.laptop import place
from sandbox.laptop.files import place_programs
from sandbox.laptop.paths import FOLDER, FORK, ROOT
from sandbox.laptop.processes import clean_environment, outside_git, run
from sandbox.laptop.processes import git as clone_git
from sandbox.laptop.terminal import one_line, say

REMOTE = "sandbox"
MOST_DEPTH = 25
HELPER = "fork"  # git runs git-remote-fork for `origin`, which builds find: programs.REMOTE
HOOK = """#!/bin/sh
# A push has landed: hand its refs to the sandbox, which builds them and shows the build.
cd ../.. || exit 1
exec .sandbox/venv/bin/python -I -u sandbox/__main__.py receive
"""
# A copy of the clone has a copy of its remote, which leads to this fork. Nobody sees that a push
# from there lands here, so it is refused; a clone of the fork itself may push, as on GitHub.
GUARD = """#!/bin/sh
[ -z "$SANDBOX_CLONE" ] || [ "$SANDBOX_CLONE" -ef {clone} ] && exit 0
echo "[sandbox] error: your clone is a copy of another, whose fork this is" >&2
echo "[sandbox] hint: type \\`python3 -m sandbox up\\`: it makes a fork for the copy" >&2
exit 1
"""
# What git runs at a push: it tells the hook above which clone is pushing.
RECEIVE_PACK = (
    "SANDBOX_CLONE=$(git=$(git rev-parse --git-common-dir 2>/dev/null) && "
    'cd "$git" && pwd -P) git receive-pack'
)
SETTINGS = {
    "core.hooksPath": "hooks",  # the student's own configuration may name another folder
    "receive.denyDeleteCurrent": "ignore",  # as on GitHub once main is not the default branch
    "uploadpack.allowAnySHA1InWant": "true",  # a build fetches its very commit
    "receive.autogc": "false",  # a push need not wait for what the next line forbids
    "gc.auto": "0",  # keeps commits that a forced push has left behind, for Start build
}


def git(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run git in the fork, without the student's git configuration."""
    env = clean_environment(FOLDER) | {"GIT_CONFIG_GLOBAL": os.devnull}
    return run("git", f"--git-dir={FORK}", *arguments, env=env, cwd=FOLDER, check=check)


def make() -> None:
    """Make the fork, its hook and the remote, or mend what is missing of them."""
    if git("rev-parse", "--is-bare-repository", check=False).stdout.strip() != "true":
        env = clean_environment(FOLDER)
        run("git", "init", "-q", "--bare", "--template=", FORK, env=env)
        git("symbolic-ref", "HEAD", "refs/heads/main")
    for key, value in SETTINGS.items():
        git("config", key, value)
    place_hooks()
    clone_git("config", f"remote.{REMOTE}.url", FORK)
    clone_git("config", f"remote.{REMOTE}.fetch", f"+refs/heads/*:refs/remotes/{REMOTE}/*")
    # The branch at hand, whatever push.default says.
    clone_git("config", f"remote.{REMOTE}.push", "HEAD")
    clone_git("config", f"remote.{REMOTE}.receivepack", RECEIVE_PACK)


def place_hooks() -> None:
    """See to it that the fork has these hooks and no others."""
    clone = clone_git("rev-parse", "--git-common-dir").stdout.rstrip("\n")
    guard = GUARD.format(clone=shlex.quote(str(ROOT / clone)))
    place_programs(FORK / "hooks", {"pre-receive": guard, "post-receive": HOOK})


def remote_url() -> str:
    """Return where the clone's remote leads, or nothing."""
    return clone_git("config", "--get", f"remote.{REMOTE}.url", check=False).stdout.rstrip("\n")


def is_ours(url: str) -> bool:
    """Tell whether a remote leads to a fork that a sandbox has made."""
    return url.endswith(f"/{FOLDER.name}/{FORK.name}")


def keep_remote_of_student() -> None:
    """Raise Mistake if the clone has a remote of the student's own by the name of the fork's."""
    url = remote_url()
    if url and not is_ours(url):
        raise Mistake(
            f"this clone has a remote named {REMOTE} already, for {url}",
            f"type `git remote rename {REMOTE} other`, then `python3 -m sandbox up`",
        )


def fork_of_another() -> str | None:
    """Return where the remote leads if that is a fork which the sandbox of another clone made."""
    url = remote_url()
    return url if is_ours(url) and Path(url) != FORK and Path(url).exists() else None


def tell_whose_fork() -> None:
    """Say so if a push goes to the fork of another clone, which nobody would notice."""
    if url := fork_of_another():
        say(f"The remote {REMOTE} leads to the fork of another clone: {url}")
        say("hint: after `python3 -m sandbox up` here it leads to the fork of this one")


def remove_remote() -> None:
    """Remove the remote from the student's clone, unless it leads to a fork in use elsewhere.

    Worktrees of one repository share it. That of a copy is a copy, and goes.
    """
    if is_ours(remote_url()) and (place.before() or not fork_of_another()):
        clone_git("remote", "remove", REMOTE, check=False)


def commit_of(name: str) -> str | None:
    """Return the commit that a name means in the fork, or None."""
    wanted = f"{name}^{{commit}}"
    found = git("rev-parse", "--verify", "-q", "--end-of-options", wanted, check=False)
    return found.stdout.strip() or None


def commit_to_build(name: str) -> str:
    """Return the commit that a name means in the fork; raises Mistake if there is none."""
    commit = commit_of(name)
    if not commit:
        raise Mistake(f"the fork has no commit {name!r}", "push it first: `git push sandbox`")
    return commit


def subject(commit: str) -> str:
    """Return the first line of a commit's message, with nothing that a terminal would act on."""
    return one_line(git("log", "-1", "--format=%s", commit, check=False).stdout.strip())[:72]


def push_head() -> None:
    """Push the commit at HEAD to the fork's main, if that is a first push or a fast-forward.

    And only from the student's own main: nobody asked `up` to publish a feature branch or to go
    back.
    """
    head = clone_git("rev-parse", "HEAD").stdout.strip()
    main = commit_of("refs/heads/main")
    if main == head:
        return
    if main:
        found = clone_git("symbolic-ref", "-q", "--short", "HEAD", check=False)
        ahead = clone_git("merge-base", "--is-ancestor", main, head, check=False)
        if found.stdout.strip() not in ("main", "master") or ahead.returncode:
            return
    # Without the hook: the caller starts the build and shows it.
    run(
        *("git", "-c", "core.hooksPath=/dev/null", "push", "-q", "--no-verify"),
        *("--receive-pack", "git -c core.hooksPath=/dev/null receive-pack"),
        *(FORK, "HEAD:refs/heads/main"),
        env=outside_git(),
    )


def way_to_main(head: str, main: str) -> str:
    """Return what to type so that the clone's HEAD and the fork's main become one.

    A plain push would be refused where HEAD is behind the fork's main or beside it, and would
    publish no main from another branch.
    """
    force = f"`git push --force {REMOTE} HEAD:main`"
    if git("merge-base", "--is-ancestor", head, main, check=False).returncode == 0:
        pull = f"`git pull --ff-only {REMOTE} main`"
        return f"behind the fork's main: {pull} brings it there, {force} takes the fork back to it"
    if clone_git("merge-base", "--is-ancestor", main, head, check=False).returncode:
        pull = f"`git pull --rebase {REMOTE} main`"
        return f"beside the fork's main: {pull} puts your commits on top, {force} drops the others"
    return f"ahead of the fork's main: `git push {REMOTE} HEAD:main` pushes it there"


def check_out(commit: str, folder: Path, origin: str, depth: int) -> None:
    """Check a commit out as CodeBuild does with this GitCloneDepth, and leave `origin` behind.

    All branches and tags come along if all of the history does: with 0, or more than 25, as in
    https://docs.aws.amazon.com/codebuild/latest/userguide/create-project.html. Raises Mistake with
    what git says if it fails.
    """
    env = clean_environment(folder.parent) | {"GIT_CONFIG_GLOBAL": os.devnull}
    fetch = ["fetch", "-q", f"--depth={depth}", FORK.as_uri(), commit]
    if not 0 < depth <= MOST_DEPTH:
        everything = ("+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*")
        fetch = ["fetch", "-q", "--no-tags", FORK.as_uri(), commit, *everything]
    for arguments in (
        ["init", "-q", "--template="],
        fetch,
        ["-c", "advice.detachedHead=false", "checkout", "-q", commit],
        ["remote", "add", "origin", origin or FORK.as_uri()],
        ["config", "remote.origin.vcs", HELPER],
    ):
        run("git", *arguments, env=env, cwd=folder)
