"""What `status` says: what runs, what is live, and the last builds."""

from __future__ import annotations

from itertools import islice

from sandbox.account import emulator, endpoint, releases, stack
from sandbox.builds import follow, queue, records
from sandbox.laptop import paths
from sandbox.laptop.terminal import harmless

SHOWN = 10  # builds


def show() -> bool:
    """Print it; tell whether the last build that has ended is green, and none was abandoned."""
    state = emulator.running()
    if state:
        live = releases.live()
        print(f"account   running on 127.0.0.1:{state['port']} (pid {state['pid']})")
        print(f"live      version {live.version} ({follow.named(live.description)})")
        print(f"endpoint  {stack.url()}")
        if trouble := endpoint.trouble():
            print(f"          {harmless(trouble)}")
        for project in stack.projects():
            newest = records.newest(project.name)
            how = f"build {newest.number} {newest.status}" if newest else "no build yet"
            print(f"project   {project.name}: {how}")
    else:
        print("account   not running: type `python3 -m sandbox up`")
    left, builds = queue.abandoned(), [*islice(records.newest_first(), SHOWN)]
    for item in builds:
        print(follow.row(item, killed=item in left))
    for item in [] if left else records.unfinished()[:1]:
        if item.status == "IN_PROGRESS":
            print(f"build {item.number} {follow.doing(item)}: `python3 -m sandbox stop` ends it")
    for path in records.unreadable():
        print(f"{path.relative_to(paths.ROOT)} cannot be read and is passed over")
    if left:
        print("nothing runs these builds any more: `python3 -m sandbox up` ends them, and goes on")
    last = next((item for item in builds if item.has_ended), None)
    return not left and (not last or last.status == "SUCCEEDED")
