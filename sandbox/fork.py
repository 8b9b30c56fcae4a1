"""The fork: a bare repository whose post-receive hook is the webhook of template.yml."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox import Mistake
from sandbox.laptop import FOLDER, FORK, clean_environment, git, run, write

REMOTE = "sandbox"
NOTHING = "0" * 40
HOOK = """#!/bin/sh
# A push has landed: hand its refs to the sandbox, which builds them and shows the build.
cd ../.. || exit 1
exec .sandbox/venv/bin/python -u -m sandbox receive
"""


@dataclass(frozen=True)
class Push:
    """One ref that a push has moved: what GitHub would send the webhook as one event."""

    before: str
    after: str
    ref: str


def fork_git(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run git in the fork, without the student's git configuration."""
    env = clean_environment(FOLDER) | {"GIT_CONFIG_GLOBAL": os.devnull}
    return run("git", f"--git-dir={FORK}", *arguments, env=env, cwd=FOLDER, check=check)


def make() -> None:
    """Make the fork, its hook and the remote, or mend what is missing of them."""
    if fork_git("rev-parse", "--is-bare-repository", check=False).stdout.strip() != "true":
        run("git", "init", "-q", "--bare", "--template=", FORK, env=clean_environment(FOLDER))
        fork_git("symbolic-ref", "HEAD", "refs/heads/main")
    for key, value in {
        "core.hooksPath": "hooks",  # the student's own configuration may name another folder
        "receive.denyDeleteCurrent": "ignore",  # as on GitHub once main is not the default branch
        "uploadpack.allowAnySHA1InWant": "true",  # a build fetches its very commit
        "receive.autogc": "false",  # a push need not wait for what the next line forbids
        "gc.auto": "0",  # keeps commits that a forced push has left behind, for Start build
    }.items():
        fork_git("config", key, value)
    (FORK / "hooks").mkdir(exist_ok=True)
    write(FORK / "hooks" / "post-receive", HOOK)
    (FORK / "hooks" / "post-receive").chmod(0o755)
    before = git("config", "--get", f"remote.{REMOTE}.url", check=False).stdout.rstrip("\n")
    if before and not before.endswith("/.sandbox/fork.git"):
        raise Mistake(f"this clone has a remote named {REMOTE} already, for {before}",
                      f"type `git remote rename {REMOTE} other`, then `python3 -m sandbox up`")
    git("config", f"remote.{REMOTE}.url", FORK)
    git("config", f"remote.{REMOTE}.fetch", f"+refs/heads/*:refs/remotes/{REMOTE}/*")
    # The branch at hand, whatever push.default says.
    git("config", f"remote.{REMOTE}.push", "HEAD")


def remove_remote() -> None:
    """Remove the remote from the student's clone if it is ours."""
    if git("config", "--get", f"remote.{REMOTE}.url", check=False).stdout.rstrip("\n").endswith("/.sandbox/fork.git"):
        git("remote", "remove", REMOTE, check=False)


def commit_of(name: str) -> str | None:
    """Return the commit that a name means in the fork, or None."""
    found = fork_git("rev-parse", "--verify", "-q", "--end-of-options", f"{name}^{{commit}}", check=False)
    return found.stdout.strip() or None


def subject(commit: str) -> str:
    """Return the first line of a commit's message, with nothing that a terminal would act on."""
    line = fork_git("log", "-1", "--format=%s", commit, check=False).stdout.strip()
    return "".join(char if char.isprintable() else "?" for char in line)[:72]


def push_head() -> bool:
    """Push the commit at HEAD to the fork's main; return whether that moved main.

    Only a first push or a fast-forward from the student's own main: nobody asked `up` to publish
    a feature branch or to go back.
    """
    head = git("rev-parse", "HEAD").stdout.strip()
    main = commit_of("refs/heads/main")
    if main == head:
        return False
    branch = git("symbolic-ref", "-q", "--short", "HEAD", check=False).stdout.strip()
    if main and (branch not in ("main", "master")
                 or git("merge-base", "--is-ancestor", main, head, check=False).returncode):
        return False
    # Without the hook: the caller starts the build and shows it.
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    run("git", "-c", "core.hooksPath=/dev/null", "push", "-q", "--no-verify", "--receive-pack",
        "git -c core.hooksPath=/dev/null receive-pack", FORK, "HEAD:refs/heads/main", env=env)
    return True


def pushes(lines: Iterable[bytes]) -> list[Push]:
    """Read what git gives a post-receive hook on stdin; a ref's name may be no text."""
    return [Push(*os.fsdecode(line.rstrip(b"\n")).split(" ", 2)) for line in lines if line.strip()]


def why_not(push: Push, groups: Iterable[Iterable[Mapping[str, Any]]]) -> str | None:
    """Return why the webhook does not build a push, or None if it does.

    One group must match with all its filters; patterns are regular expressions that may match
    anywhere, except EVENT, which is a list:
    https://docs.aws.amazon.com/codebuild/latest/userguide/github-webhook.html
    """
    if push.after == NOTHING:
        return "it was deleted, which leaves nothing to build"
    reasons = []
    for group in groups:
        reason = next((text for text in (unmet(push, item) for item in group) if text), None)
        if reason is None:
            return None
        reasons.append(reason)
    return " and ".join(dict.fromkeys(reasons)) or "the project in template.yml has no webhook"


def unmet(push: Push, item: Mapping[str, Any]) -> str | None:
    """Return how a push fails one filter of the webhook, or None if it passes."""
    kind, pattern = item.get("Type"), str(item.get("Pattern", ""))
    named = f"the webhook's filter {kind} {pattern} in template.yml"
    if kind == "EVENT":
        return None if "PUSH" in re.split(r"\s*,\s*", pattern) else f"{named} leaves pushes out"
    texts = {
        "HEAD_REF": lambda: [push.ref],
        "COMMIT_MESSAGE": lambda: [fork_git("log", "-1", "--format=%B", push.after, check=False).stdout],
        "FILE_PATH": lambda: changed_files(push),
    }
    if kind not in texts:
        return f"{named} cannot be met here: the laptop knows EVENT, HEAD_REF, COMMIT_MESSAGE and FILE_PATH"
    try:
        met = any(re.search(pattern, text) for text in texts[kind]())
    except re.error as error:
        return f"{named} is no regular expression ({error})"
    if str(item.get("ExcludeMatchedPattern", False)).lower() == "true":
        met = not met
    return None if met else f"{named} does not let it through"


def changed_files(push: Push) -> list[str]:
    """Return the paths that a push has changed; for a new branch, all of its files."""
    if push.before == NOTHING:
        listed = fork_git("ls-tree", "-r", "-z", "--name-only", push.after, check=False)
    else:
        listed = fork_git("diff", "-z", "--name-only", push.before, push.after, check=False)
    return [path for path in listed.stdout.split("\0") if path]


def shown(ref: str) -> str:
    """Return a ref's name safe to print: git allows quotes and $ in it, and bytes that are no text."""
    return shlex.quote("".join(char if char.isprintable() else "?" for char in ref))
