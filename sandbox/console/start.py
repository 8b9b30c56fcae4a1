"""Start build: what `python3 -m sandbox build` does, from a page."""

from __future__ import annotations

from sandbox.account import stack
from sandbox.builds import queue
from sandbox.builds.records import Build
from sandbox.fork import repository


def start_build() -> Build:
    """Start a build of the project's source version; raises Mistake if the fork has none."""
    project = stack.project()
    commit = repository.commit_to_build(project.source_version)
    return queue.submit(project.name, commit, project.source_version, "root")
