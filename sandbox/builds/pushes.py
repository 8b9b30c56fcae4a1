"""What a push brings, a build for each ref that the webhook lets through; and builds without it."""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.account import stack
from sandbox.builds import follow, queue
from sandbox.builds.records import Build
from sandbox.codebuild.project import NO_COMMIT, Project
from sandbox.fork import repository, webhook
from sandbox.laptop.processes import git
from sandbox.laptop.terminal import say

INITIATOR = "GitHub-Hookshot/sandbox"


def submit(lines: Iterable[bytes], submitted: list[Build]) -> None:
    """Submit a build for each ref that is to be built, and say what becomes of the others.

    `lines` are those that git gives a post-receive hook. `submitted` grows with each build, so that
    the caller knows of them also if the next one fails.
    """
    projects = stack.projects()
    told = []
    for push in webhook.read(lines):
        commit = repository.commit_of(push.after) or ""
        refusal = webhook.refusal(push, [g for each in projects for g in each.filter_groups])
        if not commit and not refusal:
            refusal = "it is no commit"
        if refusal:
            told += why(push, refusal)
            continue
        for project in takers(push, projects):
            build = queue.submit(project.name, commit, commit, INITIATOR, push)
            late = f"; a later push has it at {build.commit[:7]}, which is built"
            said = f"{push.shown} is now {push.after[:7]}: {repository.subject(push.after)}"
            told.append(said + (late if build.commit != commit else ""))
            submitted.append(build)
    for text in dict.fromkeys(told):
        say(text)


def takers(push: webhook.Push, projects: Iterable[Project]) -> list[Project]:
    """Return the projects whose webhook builds a push."""
    return [each for each in projects if not webhook.refusal(push, each.filter_groups)]


def project_of(ref: str, commit: str) -> str:
    """Return the name of the first project whose webhook would build a commit at a ref.

    The first one of the template if none would.
    """
    push = webhook.Push(NO_COMMIT, commit, ref)
    taker = next(iter(takers(push, stack.projects())), None)
    return (taker or stack.project()).name


def start(wanted: str | None = None) -> Build:
    """Start a build of a commit in the fork, or of the project's source version, as root does.

    Raises Mistake if there is none.
    """
    wanted = wanted or stack.project().source_version
    commit = repository.commit_to_build(wanted)
    project = project_of(repository.ref_of(wanted, commit), commit)
    return queue.submit(project, commit, wanted, "root")


def why(push: webhook.Push, refusal: str) -> list[str]:
    """Return why a push is not built, and what to type instead if there is something."""
    said = [f"{push.shown} is not built: {refusal}"]
    if "filter HEAD_REF " in refusal and push.ref.startswith("refs/heads/"):
        branch = push.shown.replace("refs/heads/", "", 1)
        way = f"git checkout main && git merge {branch}"
        if not git("for-each-ref", "refs/heads/main", "refs/remotes/origin/main").stdout:
            way = f"git branch -m {branch} main"
        said.append(f"hint: type `{way} && git push sandbox`")
    if push.after == NO_COMMIT and push.ref == "refs/heads/main":
        said.append(follow.what_is_live())
    return said
