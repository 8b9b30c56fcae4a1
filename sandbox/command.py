"""The commands: each reads as a sentence of account, fork, buildspec and build."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import json
import os
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from sandbox import Mistake, laptop
from sandbox.laptop import FOLDER, ROOT, git, say

if TYPE_CHECKING:
    from sandbox.build import Build


def up(_: argparse.Namespace) -> int:
    """start the account, deploy template.yml, make the fork, build the commit at HEAD"""
    from sandbox import account, build, fork

    with laptop.lock("up"), contextlib.ExitStack() as stack:
        restart = not account.answers()
        if restart:
            build.stop_worker()  # the account that it built for is gone
        idle = stack.enter_context(laptop.lock("worker", wait=restart))
        account.bring_up()
        say("Deploying template.yml")
        first = not build.numbers()
        keep = idle and not first  # a build that runs moves the alias itself; before any there is nothing to keep
        account.deploy(keep)
        if keep:
            account.restore_releases(build.released())
        if first:
            laptop.start_worker()  # what it loads takes as long as what comes now
        fork.make()
        if git("status", "--porcelain").stdout.strip():
            say("You have changes that are not committed: no push and no build contains them")
        fork.push_head()
    for number in build.unfinished()[-1:]:  # the end of a queue that lost its worker
        laptop.start_worker()
        show(build.load(number), sys.stderr)
    head, main = git("rev-parse", "HEAD").stdout.strip(), fork.commit_of("refs/heads/main")
    newest = next((item for item in build.newest_first() if item.commit == main), None)
    if newest and newest.status in ("SUCCEEDED", "FAILED", "TIMED_OUT"):
        say(f"The fork's main is at {main[:7]}, which build {newest.number} has built ({newest.status})")
        if head != main:
            say(f"Your HEAD is at {head[:7]}: `git push sandbox` pushes it")
    else:
        if not newest or newest.status in build.ENDED:
            newest = build.submit(main, "main", "root", fork.Push(fork.NOTHING, main, "refs/heads/main"),
                                  awaited=first)
        newest = show(newest, sys.stderr)
    print(account.url())
    print(f'Try it: curl "{account.url()}?user=CI%20CD%20Developer"')
    return 0 if newest.status == "SUCCEEDED" else 1


def show(item: Build, out: TextIO) -> Build:
    """Show a build until it has ended, say how it went, and return its last record."""
    from sandbox import build

    ended = build.follow(item, out)
    for line in build.verdict(ended):
        say(line)
    return ended


def receive(_: argparse.Namespace) -> int:
    """build what a push has brought; only the fork's hook calls this"""
    # The push has landed, so its build is asked for, also if the student ends `git push` now. A
    # handler that does nothing is not handed on to the build; to ignore the signal would be.
    for name in (signal.SIGINT, signal.SIGHUP):
        signal.signal(name, lambda *_: None)
    told: list[str] = []
    started: list[Build] = []
    try:
        laptop.start_worker()  # before anything else is loaded: it is what a push waits for
        from sandbox import account, build, fork

        groups = account.filter_groups()
        for push in fork.pushes(sys.stdin.buffer):
            name, commit = fork.shown(push.ref), fork.commit_of(push.after)
            reason = fork.why_not(push, groups)
            if reason or not commit:
                told.append(f"{name} is not built: {reason or 'it is no commit'}")
                if reason and "HEAD_REF" in reason and push.ref.startswith("refs/heads/"):
                    branch = name.replace("refs/heads/", "", 1)
                    told.append(f"hint: type `git checkout main && git merge {branch} && git push sandbox`")
                continue
            item = build.submit(commit, commit, "GitHub-Hookshot/sandbox", push, awaited=True)
            late = "" if item.commit == commit else f"; a later push has it at {item.commit[:7]}, which is built"
            told.append(f"{name} is now {push.after[:7]}: {fork.subject(push.after)}{late}")
            started.append(item)
        for text in told:
            say(text)
        for item in started:
            show(item, sys.stderr)
    except Exception as error:  # whatever it is, git has the push already
        say(f"error: {error}")
        say(f"hint: {getattr(error, 'hint', 'type `python3 -m sandbox up`')}")
        if not started:
            say("the push has landed and NOTHING WAS BUILT")
    os._exit(0)  # all is said, and to take an interpreter down takes a tenth of a second


def start_build(arguments: argparse.Namespace) -> int:
    """start a build of the fork's main, or of a commit in the fork, without a push"""
    from sandbox import account, build, fork

    project = account.project()
    wanted = arguments.commit or project.source_version
    commit = fork.commit_of(wanted)
    if not commit:
        raise Mistake(f"the fork has no commit {wanted!r}", "push it first: `git push sandbox`")
    ended = show(build.submit(commit, wanted, "root"), sys.stdout)
    return 0 if ended.status == "SUCCEEDED" else 1


def url(_: argparse.Namespace) -> int:
    """print the endpoint's URL and nothing else"""
    from sandbox import account

    print(account.url())
    return 0


def env(_: argparse.Namespace) -> int:
    """print exports that make the aws command talk to this account, for eval"""
    from sandbox import account

    variables = account.aws_environment()
    for name in sorted(name for name in os.environ if name.startswith("AWS_") and name not in variables):
        print(f"unset {name}")
    for name, value in variables.items():
        print(f"export {name}={shlex.quote(value)}")
    for name in ("NO_PROXY", "no_proxy"):  # a proxy would carry the calls off this machine
        print(f"export {name}={shlex.quote(','.join(filter(None, ['127.0.0.1,localhost', os.environ.get(name)])))}")
    print(f"export PATH={shlex.quote(str(laptop.IMAGE / 'bin'))}:\"$PATH\"")
    return 0


def status(_: argparse.Namespace) -> int:
    """show what runs, what is live, and the last builds; exit 1 if the last build failed"""
    from sandbox import account, build, fork

    state = account.running()
    if state:
        live = account.live()
        print(f"account   running on 127.0.0.1:{state['port']} (pid {state['pid']})")
        named = f"commit {live.commit[:7]}: {fork.subject(live.commit)}" if fork.commit_of(live.commit) \
            else live.commit or "no description"
        print(f"live      version {live.version} ({named})")
        print(f"endpoint  {account.url()}")
    else:
        print("account   not running: type `python3 -m sandbox up`")
    builds = [item for _, item in zip(range(10), build.newest_first())]
    for item in builds:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(item.submitted))
        where = f" in {item.phase}" if item.phase and item.status != "SUCCEEDED" else ""
        print(f"build {item.number:<4}{item.status}{where}  {item.commit[:7]}  {when}  {item.log.relative_to(ROOT)}")
    last = next((item for item in builds if item.status in build.ENDED), None)
    return 1 if last and last.status != "SUCCEEDED" else 0


def check(arguments: argparse.Namespace) -> int:
    """read a buildspec without running it; exit 2 if CodeBuild or this laptop would refuse it"""
    from sandbox import account, source
    from sandbox.buildspec import read
    from sandbox.document import BuildspecError

    name = arguments.file or account.buildspec_of_template()
    shown = "BuildSpec in template.yml" if source.is_inline(name) else os.path.basename(name)
    try:
        spec = read(Path(name).read_bytes() if arguments.file else source.find_buildspec(ROOT, name))
        here = [text for _, text in source.runtimes(spec, spec.variables, os.environ.get("PATH", "")) if text]
    except BuildspecError as error:
        if arguments.json:
            print(json.dumps({"valid": False, "error": error.message, "line": error.line, "column": error.column,
                              "hint": error.hint}))
            return 2
        raise Mistake(f"{shown}{error.place}: {error.message}", error.hint) from None
    except OSError as error:
        raise Mistake(f"{name} cannot be read: {error.strerror}", "type `ls` to see which files there are") from None
    warnings = [{"line": line, "text": text} for line, text in spec.warnings] + [
        {"line": None, "text": text} for text in here]
    present = [phase for phase in spec.phases.values() if phase.present]
    if arguments.json:
        print(json.dumps({"valid": True, "version": spec.version, "phases": {
            phase.name: {"commands": len(phase.commands), "finally": len(phase.finally_commands)} for phase in present
        }, "warnings": warnings}))
        return 0
    print(f"{shown}: a buildspec of version {spec.version}\nPhases found in YAML: {len(present)}")
    for phase in present:
        last = f", and {len(phase.finally_commands)} in finally" if phase.finally_commands else ""
        print(f" {phase.name}: {len(phase.commands)} commands{last}")
    for item in warnings:
        print("note" + (f", line {item['line']}" if item["line"] else "") + f": {item['text']}")
    return 0


def down(_: argparse.Namespace) -> int:
    """stop everything and remove .sandbox/ and the remote"""
    say(f"Stopping, and removing {FOLDER.name}/")
    from sandbox import account, build, fork

    with laptop.lock("up"):
        build.stop_worker()
        laptop.end(laptop.started("sandbox", "prepare"))
        account.stop()
        fork.remove_remote()
        shutil.rmtree(FOLDER, ignore_errors=True)
    if FOLDER.exists():
        raise Mistake(f"{FOLDER} could not be removed", f"type `rm -rf {shlex.quote(str(FOLDER))}`")
    say("Stopped. Nothing of the sandbox is left but your commits")
    return 0


def test(arguments: argparse.Namespace) -> int:
    """run all tests: the student's and the sandbox's own"""
    os.chdir(ROOT)
    python = laptop.VENV / "bin" / "python"
    files = [word.split("::")[0] for word in arguments.pytest if not word.startswith("-")]
    named = list(filter(os.path.exists, files))
    for file in files:
        if file.endswith(".py") and file not in named:  # pytest would run nothing and not say why
            raise Mistake(f"there is no file {file!r}, expected one like test_hello_world.py",
                          "type `git ls-files '*test_*.py'` to see which there are")
    # Pushes mostly wait, for the disk and for each other: three at a time, each file with its own sandbox.
    everything = [] if named else ["test_hello_world.py", "sandbox", "-n", "3", "--dist", "loadfile"]
    leave_nothing = ["-p", "no:cacheprovider"]
    os.execv(python, [str(python), "-m", "pytest", *leave_nothing, *everything, *arguments.pytest])


def measure(arguments: argparse.Namespace) -> int:
    """measure a push against the bare commands, on a fresh clone; takes minutes"""
    from sandbox import benchmark

    found = benchmark.measure(arguments.runs, (10,) if arguments.quick else (10, 100, 1000))
    print(json.dumps(found, indent=1) if arguments.json else benchmark.report(found))
    return 0


def work(_: argparse.Namespace) -> int:
    """run what is queued; only a build that was submitted calls this"""
    from sandbox import build

    build.work()
    return 0


def prepare(_: argparse.Namespace) -> int:
    """get the first build's environment ready; only `up` calls this"""
    laptop.prepare_next()
    return 0


COMMANDS = {"up": up, "build": start_build, "url": url, "env": env, "status": status, "check": check, "down": down,
            "test": test, "benchmark": measure, "receive": receive, "work": work, "prepare": prepare}
# These make the environment on their first use; the others need one that is there.
FIRST = ("up", "check", "test", "benchmark")
HIDDEN = ("receive", "work", "prepare")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(prog="python3 -m sandbox", description="The tutorial's laptop: an account, a fork "
                                   "and its builds, without AWS and without Docker.")
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, function in COMMANDS.items():
        if name in HIDDEN:
            made_one = commands.add_parser(name)
        else:
            made_one = commands.add_parser(name, help=function.__doc__, description=function.__doc__)
        if name == "build":
            made_one.add_argument("commit", nargs="?", help="a commit, branch or tag of the fork; default: main")
        if name == "check":
            made_one.add_argument("file", nargs="?", help="default: the one that template.yml names")
            made_one.add_argument("--json", action="store_true", help="the answer as JSON, for programs")
        if name == "benchmark":
            made_one.add_argument("--runs", type=int, default=5, help="runs of each kind (default: 5)")
            made_one.add_argument("--quick", action="store_true", help="leave out 100 and 1,000 builds")
            made_one.add_argument("--json", action="store_true", help="all single measurements, for programs")
        if name == "test":
            made_one.usage = "python3 -m sandbox test [options and names for pytest]"
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return 0, 1 if the build failed, 2 for a mistake, 130 when interrupted."""
    words = sys.argv[1:] if argv is None else list(argv)
    if not words:
        parser().print_help(sys.stderr)
        return 2
    try:
        if not words[0].startswith("-") and words[0] not in COMMANDS:
            near = difflib.get_close_matches(words[0], [name for name in COMMANDS if name not in HIDDEN], 1)
            raise Mistake(f"there is no command {words[0]!r}",
                          f"type `python3 -m sandbox {near[0] if near else '--help'}`")
        arguments, arguments_of_pytest = parser().parse_known_args(words)
        arguments.pytest = arguments_of_pytest
        if arguments_of_pytest and arguments.command != "test":
            parser().error(f"unknown: {shlex.join(arguments_of_pytest)}")
        if arguments.command not in HIDDEN:
            laptop.refuse_foreign_endpoints(os.environ)
        if arguments.command in FIRST:
            laptop.check_clone()
        if not laptop.is_ready() and arguments.command != "prepare":  # which starts before it is ready
            if arguments.command == "down" and not laptop.ACCOUNT.exists():
                shutil.rmtree(FOLDER, ignore_errors=True)  # the environment, if there is one: nothing runs in it
                say("There is no sandbox here")
                return 0
            if arguments.command not in FIRST and not laptop.ACCOUNT.exists():
                raise Mistake("there is no sandbox here yet", "type `python3 -m sandbox up`")
            laptop.enter(spare=arguments.command == "up")
        return COMMANDS[arguments.command](arguments)
    except Mistake as mistake:
        print(f"error: {mistake}\nhint: {mistake.hint}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # as in `status | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except OSError as error:
        print(f"error: {error}\nhint: mend it (is the disk full?), then type `python3 -m sandbox up`", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("error: interrupted\nhint: a build that has started goes on; `python3 -m sandbox status` shows it",
              file=sys.stderr)
        return 130
