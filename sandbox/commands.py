"""The commands: each reads as a sentence of account, fork, buildspec and build."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from sandbox import Mistake
from sandbox.laptop import bootstrap, paths, place, processes
from sandbox.laptop.files import lock, make_folder
from sandbox.laptop.processes import git
from sandbox.laptop.terminal import busy, colours_wanted, in_colour, say

if TYPE_CHECKING:
    import argparse

    from sandbox.builds.records import Build

# What talks to the account takes a quarter of a second to load, hence the imports in functions.


def up(_: argparse.Namespace) -> int:
    """start the account, deploy template.yml, make the fork, build the commit at HEAD"""
    from sandbox.account import emulator, releases, stack, state
    from sandbox.builds import packages, programs, queue, records
    from sandbox.console import key
    from sandbox.fork import repository

    is_new = [make_folder(folder) for folder in paths.FOLDERS]
    with lock("up"), contextlib.ExitStack() as held:
        repository.keep_remote_of_student()
        if was := place.before():
            say(f"The sandbox was made in {was}: setting it up in {paths.ROOT}")
        else:
            place.note()
        restart = any(is_new) or not state.answers()
        if restart:
            emulator.stop()
            queue.end_orphans()
        held.enter_context(lock("worker", wait=restart))  # no build while it is restored
        packages.note_settings(cache=bootstrap.uv_cache())
        packages.USED.touch()  # whatever has become of them: the next build looks
        programs.make(paths.PROGRAMS)
        if restart:
            emulator.bring_up(state.answers)
        first = not records.numbers()
        with busy("Deploying template.yml"):
            stack.deploy()
        newest = next(records.green(), None)
        lost = None if releases.put_back(newest.released if newest else None) else newest
        if not (first or lost):
            for setting in releases.settings_to_come():
                say(f"The next build publishes {setting}: `python3 -m sandbox build` starts one")
        repository.make()
        if git("status", "--porcelain").stdout.strip():
            say("You have changes that are not committed: no push and no build contains them")
        repository.push_head()
        place.note()
    for path in records.unreadable():
        say(f"{path.relative_to(paths.ROOT)} cannot be read and is passed over")
    for build in records.unfinished()[-1:]:  # the end of a queue that lost its worker
        show(build, sys.stderr)
    if lost and repository.commit_of(lost.commit):
        say("Nothing that a build has released is left: building the newest green commit again")
        show(queue.submit(lost.project, lost.commit, lost.source_version, "root"), sys.stderr)
    status = build_main()
    print(stack.url())
    print(f'Try it: curl "{stack.url()}?user=CI%20CD%20Developer"')
    print(f"Look at it: {key.address()}")
    for name in ("user.name", "user.email"):
        if not git("config", name, check=False).stdout.strip():
            say(f"git wants your {name} for commits: type `git config --global {name} 'yours'`")
    return 0 if status == "SUCCEEDED" else 1


def build_main() -> str:
    """Build the fork's main unless it has been built, and return how that went."""
    from sandbox.builds import follow, pushes, queue, records
    from sandbox.codebuild.project import NO_COMMIT
    from sandbox.fork import repository
    from sandbox.fork.webhook import Push

    main = repository.commit_of("refs/heads/main")
    if not main:
        raise Mistake("the fork has no branch main", "type `git push sandbox HEAD:main`")
    project = pushes.project_of("refs/heads/main", main)
    built = (item for item in records.newest_first() if item.project == project)
    newest = next((item for item in built if item.commit == main), None)
    if newest and newest.status in ("SUCCEEDED", "FAILED", "TIMED_OUT"):
        for line in follow.standing(newest, git("rev-parse", "HEAD").stdout.strip()):
            say(line)
        return newest.status
    if not newest or newest.has_ended:
        push = Push(NO_COMMIT, main, "refs/heads/main")
        newest = queue.submit(project, main, "main", "root", push)
    return show(newest, sys.stderr).status


def show(build: Build, out: TextIO, coloured: bool | None = None) -> Build:
    """Show a build until it has ended, say how it went, and return its last record."""
    from sandbox.builds import follow
    from sandbox.console import key

    coloured = in_colour(out) if coloured is None else coloured
    ended = follow.to_its_end(build, out, coloured)
    for line in follow.verdict(ended, key.page(ended), coloured):
        say(line)
    return ended


def receive() -> int:
    """build what a push has brought; only the fork's hook calls this"""
    # The push has landed, so its build is asked for, also if the student ends `git push` now. A
    # handler that does nothing is not handed on to the build; to ignore the signal would be.
    for name in (signal.SIGINT, signal.SIGHUP):
        signal.signal(name, lambda *_: None)
    submitted: list[Build] = []
    try:
        place.refuse_another()
        from sandbox.builds import pushes

        with lock("up", wait=False) as free:
            pass
        if not free:  # what a build needs is being made
            with busy("Waiting for `python3 -m sandbox up`"), lock("up"):
                pass
        pushes.submit(sys.stdin.buffer, submitted)
        for build in submitted:
            show(build, sys.stderr, coloured=colours_wanted())
    except Exception as error:  # whatever it is, git has the push already
        say(f"error: {error}")
        say(f"hint: {getattr(error, 'hint', 'type `python3 -m sandbox up`')}")
        if not submitted:
            say("the push has landed and NOTHING WAS BUILT")
    os._exit(0)  # all is said, and to take an interpreter down takes a tenth of a second


def build(arguments: argparse.Namespace) -> int:
    """start a build of the fork's main, or of a commit in the fork, without a push"""
    from sandbox.builds import pushes

    ended = show(pushes.start(arguments.commit), sys.stdout)
    return 0 if ended.status == "SUCCEEDED" else 1


def stop(_: argparse.Namespace) -> int:
    """end the build that runs; the next one's turn comes"""
    from sandbox.builds import follow, queue, records

    running = next(iter(records.unfinished()), None)
    if not running:
        raise Mistake("no build runs", "type `python3 -m sandbox status` to see how they ended")
    with busy(f"Stopping build {running.number}"):
        ended = queue.stop(running)
    if not ended.has_ended:
        raise Mistake(f"build {ended.number} has not ended yet", "type the same again")
    print(follow.verdict(ended, "")[-1])
    return 0


def url(_: argparse.Namespace) -> int:
    """print the endpoint's URL and nothing else"""
    from sandbox.account import stack

    print(stack.url())
    return 0


def env(_: argparse.Namespace) -> int:
    """print exports that make the aws command talk to this account, for eval"""
    from sandbox.account import keys
    from sandbox.account.clients import aws_environment
    from sandbox.builds import programs
    from sandbox.laptop.network import LOOPBACK_NAMES

    programs.make(paths.PROGRAMS)  # what the exports lead to: a build may have changed it
    variables = aws_environment(keys.variables(keys.STUDENT), paths.ACCOUNT)
    foreign = [name for name in os.environ if name.startswith("AWS_") and name not in variables]
    for name in sorted(foreign):
        print(f"unset {name}")
    for name in ("NO_PROXY", "no_proxy"):  # a proxy would carry the calls off this machine
        variables[name] = ",".join(filter(None, [LOOPBACK_NAMES, os.environ.get(name)]))
    for name, value in variables.items():
        print(f"export {name}={shlex.quote(value)}")
    print(f'export PATH={shlex.quote(str(paths.PROGRAMS))}:"$PATH"')
    return 0


def status(_: argparse.Namespace) -> int:
    """show what runs, what is live, and the last builds; exit 1 if the last build failed"""
    from sandbox.builds import status as shown

    return 0 if shown.show() else 1


def console(_: argparse.Namespace) -> int:
    """open the console, the page of project, builds and function, in the browser"""
    from sandbox.console import key

    key.show()
    return 0


def check(arguments: argparse.Namespace) -> int:
    """tell if CodeBuild reads a buildspec, and if it runs here; exit 2 if CodeBuild refuses it"""
    from sandbox.account import template
    from sandbox.codebuild import check as checked
    from sandbox.codebuild import source
    from sandbox.codebuild.buildspec import BuildspecError

    name = arguments.file or template.buildspec_of_project()
    shown = "BuildSpec in template.yml" if source.is_inline(name) else os.path.basename(name)
    try:
        if arguments.file:
            content = Path(name).read_bytes()
        else:
            content = source.find_buildspec(paths.ROOT, name)
        spec = checked.check(content, os.environ)
    except BuildspecError as error:
        if not arguments.json:
            print("CodeBuild reads it: no\nThis laptop runs it: no", flush=True)
            raise Mistake(f"{shown}{error.place}: {error.message}", error.hint) from None
        found = {"line": error.line, "column": error.column, "hint": error.hint}
        print(json.dumps({"valid": False, "runs_here": False, "error": error.message} | found))
        return 2
    except OSError as error:
        raise Mistake(
            f"{name} cannot be read: {error.strerror}", "type `ls` to see which files there are"
        ) from None
    as_text = "\n".join(checked.as_text(spec, shown))
    print(json.dumps(checked.as_json(spec)) if arguments.json else as_text)
    return 0


def end_what_runs(keep: bool = True) -> None:
    """End the account, with its state kept or not, its builds, and what makes their packages."""
    from sandbox.account import emulator
    from sandbox.builds import queue

    emulator.stop(keep)
    queue.end_orphans()
    processes.end(processes.started("sandbox.builds.packages"))


def down(arguments: argparse.Namespace) -> int:
    """stop everything and remove .sandbox/ and the remote"""
    if bootstrap.is_inside() or paths.ACCOUNT.exists():
        if not bootstrap.is_inside():  # its environment is gone, and it may still run
            bootstrap.enter(end_what_runs)
        say("Ending what runs: builds and the account")
        from sandbox.fork import repository

        with busy(f"Stopping, and removing {paths.FOLDER.name}/"), lock("up"):
            end_what_runs(keep=False)
            repository.remove_remote()
            place.set_aside()
    elif paths.FOLDER.exists():
        place.set_aside()
    if not (place.remove() or arguments.all):
        say("There is no sandbox here")
    if arguments.all:
        folder = paths.cache()
        with busy(f"Removing {folder}: what was downloaded for the sandboxes of all clones"):
            place.delete(folder)
    return 0


def work() -> int:
    """run what is queued; only the account's process calls this"""
    from sandbox.builds import worker

    worker.work()
    return 0


def serve() -> int:
    """be the account's process; only `up` calls this"""
    from sandbox.console import process

    process.main()
    return 0
