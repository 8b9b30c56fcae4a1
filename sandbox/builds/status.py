"""What `status` says: what runs, what is live, and the last builds."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from sandbox.account import emulator, endpoint, releases, stack
from sandbox.builds import follow, queue, records
from sandbox.laptop import paths
from sandbox.laptop.terminal import harmless

SHOWN = 10  # builds


def lines() -> Iterator[str]:
    """Yield the lines."""
    state = emulator.running()
    if state:
        live = releases.live()
        yield f"account   running on 127.0.0.1:{state['port']} (pid {state['pid']})"
        yield f"live      version {live.version} ({follow.named(live.description)})"
        yield f"endpoint  {stack.url()}"
        answer = endpoint.ask()
        if answer.failed:
            yield f"          {harmless(str(answer))}"
        for project in stack.projects():
            newest = records.newest(project.name)
            how = f"build {newest.number} {newest.status}" if newest else "no build yet"
            yield f"project   {project.name}: {how}"
    else:
        yield "account   not running: type `python3 -m sandbox up`"
    left = queue.abandoned()
    for item in islice(records.newest_first(), SHOWN):
        yield follow.row(item, killed=item in left)
    for item in [] if left else records.unfinished()[:1]:
        if item.status == "IN_PROGRESS":
            yield f"build {item.number} {follow.doing(item)}: `python3 -m sandbox stop` ends it"
    for path in records.unreadable():
        yield f"{path.relative_to(paths.ROOT)} cannot be read and is passed over"
    if left:
        yield "nothing runs these builds any more: `python3 -m sandbox up` ends them, and goes on"


def is_green() -> bool:
    """Tell whether the last of these builds that has ended is green, and none was abandoned."""
    if queue.abandoned():
        return False
    shown = islice(records.newest_first(), SHOWN)
    last = next((item for item in shown if item.has_ended), None)
    return not last or last.status == "SUCCEEDED"
