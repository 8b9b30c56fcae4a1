"""The command line: its words, and the exit code of each way in which a command can end."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sandbox import Mistake, commands, dev
from sandbox.laptop import bootstrap, network, paths, place, processes

if TYPE_CHECKING:
    import argparse

COMMANDS = {
    "up": commands.up,
    "build": commands.build,
    "stop": commands.stop,
    "url": commands.url,
    "env": commands.env,
    "status": commands.status,
    "console": commands.console,
    "check": commands.check,
    "down": commands.down,
    "test": dev.test,
    "benchmark": dev.benchmark,
}
# Not for people: the fork's hook, the queue and the set-up start these.
HIDDEN = {
    "receive": commands.receive,
    "work": commands.work,
    "serve": commands.serve,
}
# These make the environment on their first use; the others need one that is there.
FIRST = ("up", "check", "test", "benchmark")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    import argparse  # a hundredth of a second that a push need not wait for

    made = argparse.ArgumentParser(
        prog="python3 -m sandbox",
        description="The tutorial's laptop: an account, a fork and its builds, "
        "without AWS and without Docker.",
    )
    subparsers = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    words = {
        name: subparsers.add_parser(name, help=function.__doc__, description=function.__doc__)
        for name, function in COMMANDS.items()
    }
    words["build"].add_argument(
        "commit", nargs="?", help="a commit, branch or tag of the fork; default: main"
    )
    words["check"].add_argument("file", nargs="?", help="default: the one that template.yml names")
    words["check"].add_argument(
        "--json", action="store_true", help="the answer as JSON, for programs"
    )
    words["down"].add_argument(
        "--all", action="store_true", help="remove what was downloaded, too, which all clones share"
    )
    words["benchmark"].add_argument(
        "--runs", type=int, default=5, help="runs of each kind (default: 5)"
    )
    words["test"].usage = "python3 -m sandbox test [options and names for pytest]"
    return made


def parsed(words: list[str]) -> argparse.Namespace:
    """Return the arguments of a command line; raises Mistake for a command that there is not."""
    if not words[0].startswith("-") and words[0] not in COMMANDS:
        import difflib

        near = difflib.get_close_matches(words[0], list(COMMANDS), 1)
        raise Mistake(
            f"there is no command {words[0]!r}",
            f"type `python3 -m sandbox {near[0] if near else '--help'}`",
        )
    arguments, rest = parser().parse_known_args(words)
    if rest and arguments.command != "test":
        parser().error(f"unknown: {shlex.join(rest)}")
    arguments.pytest = rest
    return arguments


def enter(command: str) -> None:
    """Go on in the environment that the command needs: this program may start again in it.

    Raises Mistake if the command cannot run here.
    """
    # The account and its builds run in the environment that is there: few replace it.
    replaces = command in FIRST and (command != "check" or not paths.ACCOUNT.exists())
    is_ready = bootstrap.is_inside() and (bootstrap.is_current() or not replaces)
    if command == "up" and is_ready and not bootstrap.is_whole():
        bootstrap.leave_broken()
    if command in FIRST and not (is_ready and command == "check"):
        place.refuse_path()
        bootstrap.check_clone()
    if command != "up":
        place.refuse_another()
    if is_ready:
        if command in ("up", "build") and "IS_BARE" not in os.environ:
            # A build could look at the environment of what shows its log.
            bootstrap.start_again(processes.own_environment() | {"IS_BARE": "yes"})
        return
    if command not in FIRST and not paths.ACCOUNT.exists():
        raise Mistake("there is no sandbox here yet", "type `python3 -m sandbox up`")
    from sandbox.builds import packages

    bootstrap.enter(commands.end_what_runs, packages.begin if command == "up" else None)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return 0, 1 if the build failed, 2 for a mistake, 130 when interrupted."""
    words = sys.argv[1:] if argv is None else list(argv)
    if not words:
        parser().print_help(sys.stderr)
        return 2
    try:
        if words[0] in HIDDEN:
            return HIDDEN[words[0]]()
        arguments = parsed(words)
        network.refuse_foreign_endpoints(os.environ)
        place.refuse_foreign()
        if arguments.command != "down":
            enter(arguments.command)
        return COMMANDS[arguments.command](arguments)
    except Mistake as mistake:
        print(f"error: {mistake}\nhint: {mistake.hint}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # as in `status | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except OSError as error:
        is_denied = isinstance(error, PermissionError)
        likely = "`ls -ld` shows whose it is" if is_denied else "is the disk full?"
        hint = f"mend it ({likely}), then type `python3 -m sandbox up`"
        print(f"error: {error}\nhint: {hint}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        from sandbox.builds import records

        hint = "type the same again: what is there already stays"
        if records.unfinished():
            hint = "a build that has started goes on; `python3 -m sandbox stop` ends it"
        print(f"error: interrupted\nhint: {hint}", file=sys.stderr)
        return 130
