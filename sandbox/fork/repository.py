"""The bare repository below .sandbox/, its hooks, and the remote that leads to it."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from sandbox import Mistake
from sandbox.laptop.files import delete, write, write_programs
from sandbox.laptop.network import REGISTRY_VARIABLES
from sandbox.laptop.paths import FOLDER, FORK, ROOT
from sandbox.laptop.processes import OWN_VARIABLES, clean_environment, run
from sandbox.laptop.processes import git as clone_git
from sandbox.laptop.terminal import one_line, say

REMOTE = "sandbox"
URL = str(FORK.relative_to(ROOT))  # so a clone that was moved or copied pushes to its own fork
MOST_DEPTH = 25
NO_PUSH = "a build here has no credentials to push with"
HOOK = """#!/bin/sh
# A push has landed: hand its refs to the sandbox, which builds them and shows the build.
rm -f ../moving
cd ../.. || exit 1
exec .sandbox/venv/bin/python -I -u sandbox/__main__.py receive
"""
# Of two pushes at once, git tells one no more than "cannot lock ref". So it waits here until the
# refs of the other are moved, two seconds at most, and hears what to do.
TURN = """#!/bin/sh
tries=0
until ln -s "$PPID" ../moving 2>/dev/null || [ $((tries += 1)) -gt 40 ]; do
  kill -0 "$(readlink ../moving)" 2>/dev/null && sleep 0.05 || rm -f ../moving
done
while read -r old new ref; do
  [ "$(git rev-parse -q --verify "$ref" || printf %040d)" = "$old" ] && continue
  echo "[sandbox] error: another push came at the same time, and was quicker" >&2
  echo "[sandbox] hint: type your 'git push' again" >&2
  rm -f ../moving
  exit 1
done
"""
# git's own words for a repository that it trusts whomever it belongs to: trust in the clone is
# trust in its fork.
TRUSTING = "git -c 'safe.directory=*'"
# What git runs at a push, beside the build: it has no more of the student's environment than the
# build, which could look. Only who prints to a terminal has one: a hook's own output is a pipe to
# git, which hands it on.
RECEIVE_PACK = " ".join(
    (
        "exec env -i",
        *(f'${{{name}+"{name}=${name}"}}' for name in OWN_VARIABLES),
        *(f'${{{name}+"{name}=${{{name}##*@*}}"}}' for name in REGISTRY_VARIABLES),
        '"TERM=$(test -t 2 && echo "$TERM")"',
        f"{TRUSTING} receive-pack",
    )
)
# The files that make a folder a bare repository, and steer what git does in it:
# https://git-scm.com/docs/gitrepository-layout
FILES = {
    "HEAD": "ref: refs/heads/main\n",
    "config": """\
[core]
	repositoryFormatVersion = 0
	bare = true
	hooksPath = hooks  # the student's own configuration may name another folder
[receive]
	denyDeleteCurrent = ignore  # as on GitHub once main is not the default branch
	autogc = false  # a push need not wait for what the last line forbids
[uploadpack]
	allowAnySHA1InWant = true  # a build fetches its very commit
[gc]
	auto = 0  # keeps commits that a forced push has left behind, for Start build
""",
}


def git(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run git in the fork, without the student's git configuration."""
    env = clean_environment(FOLDER) | {"GIT_CONFIG_GLOBAL": os.devnull}
    return run("git", f"--git-dir={FORK}", *arguments, env=env, cwd=FOLDER, check=check)


def make() -> None:
    """Make the fork and the remote, or mend what is missing or broken of them."""
    if not is_whole():
        make_anew()
    write_hooks()
    for key, value in {
        "url": URL,
        "fetch": f"+refs/heads/*:refs/remotes/{REMOTE}/*",
        "push": "HEAD",  # the branch at hand, whatever push.default says
        "receivepack": RECEIVE_PACK,
        "uploadpack": f"{TRUSTING} upload-pack",
    }.items():
        clone_git("config", f"remote.{REMOTE}.{key}", value)


def write_hooks() -> None:
    """See to it that the fork has these hooks and settings, and no others."""
    for folder in ("objects", "refs/heads"):
        (FORK / folder).mkdir(parents=True, exist_ok=True)
    for name, text in FILES.items():
        write(FORK / name, text)
    write_programs(FORK / "hooks", {"pre-receive": TURN, "post-receive": HOOK})


def is_whole() -> bool:
    """Tell whether git can read all that is in the fork, and nothing of it is elsewhere.

    A power cut can leave what was written just before it empty, and a build can do anything.
    """
    parts = {FORK, *FORK.glob("*"), *FORK.glob("*/*")} - {FORK / "hooks"}
    if not (FORK / "refs" / "heads").is_dir() or any(part.is_symlink() for part in parts):
        return False
    found = git("fsck", "--no-dangling", "--no-progress", check=False)
    # It fails, too, for an old commit of the student's that git would not make like that today.
    said = (found.stdout + found.stderr).splitlines()
    return not found.returncode or all(line.startswith(("error in ", "warn")) for line in said)


def make_anew() -> None:
    """Make the fork from what the clone has of it, and say what only the fork had."""
    had = refs(git, "refs/")
    known = refs(clone_git, f"refs/remotes/{REMOTE}/")
    wanted = {ref.replace(f"remotes/{REMOTE}", "heads"): commit for ref, commit in known.items()}
    wanted.pop("refs/heads/HEAD", None)
    there = [not clone_git("cat-file", "-e", had[ref], check=False).returncode for ref in had]
    wanted |= dict(itertools.compress(had.items(), there))
    if os.path.lexists(FORK):
        say("The fork is broken: it is made anew from this clone")
        delete(FORK)
    write_hooks()
    if wanted:
        push(*(f"{commit}:{ref}" for ref, commit in wanted.items()))
    for ref in {ref for ref, commit in had.items() if wanted.get(ref) != commit}:
        say(f"{one_line(ref)} was at {had[ref][:7]}, which this clone does not have")


def refs(of: Callable[..., subprocess.CompletedProcess[str]], *prefix: str) -> dict[str, str]:
    """Return the refs of a repository, as far as git can read them, and what each leads to."""
    listed = of("for-each-ref", "--format=%(refname) %(objectname)", *prefix, check=False)
    return dict(line.split(" ") for line in listed.stdout.splitlines())  # no name has a blank


def keep_remote_of_student() -> None:
    """Raise Mistake if the clone has a remote of the student's own by the name of the fork's."""
    url = clone_git("config", "--get", f"remote.{REMOTE}.url", check=False).stdout.rstrip("\n")
    if url and not url.endswith(URL):
        raise Mistake(
            f"this clone has a remote named {REMOTE} already, for {url}",
            f"type `git remote rename {REMOTE} other`, then `python3 -m sandbox up`",
        )


def remove_remote() -> None:
    """Remove the remote from the clone, unless it is the student's own or in use elsewhere.

    All worktrees of a clone have the same remotes, and each can have a fork of its own.
    """
    listed = clone_git("worktree", "list", "--porcelain", check=False).stdout
    trees = map(Path, re.findall("^worktree (.*)$", listed, re.MULTILINE))
    if not any((tree / URL).exists() for tree in trees if tree != ROOT):
        with contextlib.suppress(Mistake):
            keep_remote_of_student()
            clone_git("remote", "remove", REMOTE)


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


def ref_of(name: str, commit: str) -> str:
    """Return the branch that a name means, or one that has the commit: main before all others."""
    if commit_of(f"refs/heads/{name}"):
        return f"refs/heads/{name}"
    having = git("for-each-ref", "--contains", commit, "--format=%(refname)", "refs/heads")
    found = having.stdout.split()
    return "refs/heads/main" if "refs/heads/main" in found else next(iter(found), name)


def subject(commit: str) -> str:
    """Return the first line of a commit's message, with nothing that a terminal would act on."""
    return one_line(git("log", "-1", "--format=%s", commit, check=False).stdout.strip())[:72]


def push_head() -> None:
    """Push the commit at HEAD to the fork's main, if that is a first push or a fast-forward.

    And only from the student's own main: nobody asked `up` to publish a feature branch or to go
    back.
    """
    is_first = not commit_of("refs/heads/main")
    branch = clone_git("symbolic-ref", "-q", "--short", "HEAD", check=False).stdout.strip()
    if is_first or branch in ("main", "master"):
        push("HEAD:refs/heads/main", check=is_first)


def push(*refspecs: str, check: bool = True) -> None:
    """Push from the clone without the hooks: nothing is built."""
    receive_pack = f"{TRUSTING} -c core.hooksPath=/dev/null receive-pack"
    words = ["push", "-q", "--no-verify", "--receive-pack", receive_pack]
    clone_git(*words, FORK, *refspecs, check=check)


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
    how, all_refs = [f"--depth={depth}"], []
    if not 0 < depth <= MOST_DEPTH:
        how, all_refs = [], ["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"]
    for arguments in (
        ["init", "-q", "--template="],
        # The remote has the name that it has on AWS, and git asks the fork instead.
        ["remote", "add", "origin", origin or FORK.as_uri()],
        ["config", "remote.origin.pushurl", NO_PUSH],
        ["config", "remote.origin.uploadpack", f"{TRUSTING} upload-pack"],
        ["config", f"url.{FORK.as_uri()}.insteadOf", origin or FORK.as_uri()],
        ["fetch", "-q", "--no-tags", *how, "origin", commit, *all_refs],
        # As many files at once as there are cores: of a red push it is a twentieth.
        ["-c", "checkout.workers=0", "-c", "advice.detachedHead=false", "checkout", "-q", commit],
    ):
        run("git", *arguments, env=env, cwd=folder)
