"""The webhook of template.yml: what a push brings, and whether its filters let it through."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.codebuild.project import NO_COMMIT
from sandbox.fork.repository import git
from sandbox.laptop.terminal import one_line


@dataclass(frozen=True)
class Push:
    """One ref that a push has moved: what GitHub would send the webhook as one event."""

    before: str
    after: str
    ref: str

    @property
    def shown(self) -> str:
        """Return the ref safe to print: git allows quotes and $, and bytes that are no text."""
        return shlex.quote(one_line(self.ref))


def read(lines: Iterable[bytes]) -> list[Push]:
    """Read what git gives a post-receive hook on stdin; a ref's name may be no text."""
    return [Push(*os.fsdecode(line.rstrip(b"\n")).split(" ", 2)) for line in lines if line.strip()]


def refusal(push: Push, groups: Iterable[Iterable[Mapping[str, Any]]]) -> str:
    """Return why the webhook does not build a push, or nothing if it does.

    One group must match with all its filters; patterns are regular expressions that may match
    anywhere, except EVENT, which is a list:
    https://docs.aws.amazon.com/codebuild/latest/userguide/github-webhook.html
    """
    if push.after == NO_COMMIT:
        return "it was deleted, which leaves nothing to build"
    failed = []
    for group in groups:
        reason = next(filter(None, (unmet(push, item) for item in group)), "")
        if not reason:
            return ""
        failed.append(reason)
    return " and ".join(dict.fromkeys(failed)) or "the project in template.yml has no webhook"


def unmet(push: Push, item: Mapping[str, Any]) -> str:
    """Return how a push fails one filter of the webhook, or nothing if it passes."""
    kind, pattern = item.get("Type"), str(item.get("Pattern", ""))
    named = f"the webhook's filter {kind} {pattern} in template.yml"
    if kind == "EVENT":
        events = re.split(r"\s*,\s*", pattern)
        return "" if "PUSH" in events else f"{named} leaves pushes out"
    if kind == "HEAD_REF":
        texts = [push.ref]
    elif kind == "COMMIT_MESSAGE":
        texts = [git("log", "-1", "--format=%B", push.after, check=False).stdout]
    elif kind == "FILE_PATH":
        texts = changed_files(push)
    else:
        known = "EVENT, HEAD_REF, COMMIT_MESSAGE and FILE_PATH"
        return f"{named} cannot be met here: the laptop knows {known}"
    try:
        met = any(re.search(pattern, text) for text in texts)
    except re.error as error:
        return f"{named} is no regular expression ({error})"
    if str(item.get("ExcludeMatchedPattern", False)).lower() == "true":
        met = not met
    return "" if met else f"{named} does not let it through"


def changed_files(push: Push) -> list[str]:
    """Return the paths that a push has changed; for a new branch, all of its files."""
    if push.before == NO_COMMIT:
        listed = git("ls-tree", "-r", "-z", "--name-only", push.after, check=False)
    else:
        listed = git(
            "diff", "-z", "--no-renames", "--name-only", push.before, push.after, check=False
        )
    return [path for path in listed.stdout.split("\0") if path]
