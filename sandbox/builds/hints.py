"""What the command that failed has said, and what to do: read from its output and the reports."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from sandbox.builds.progress import Progress, failing
from sandbox.codebuild.phases import Outcome
from sandbox.codebuild.reports import Case
from sandbox.laptop.terminal import one_line

MOST = 300  # characters of what is quoted
END = 1 << 20  # bytes of an output's end that are read
BAD = ("FAILED", "ERROR", "UNKNOWN")  # cases
PUSH = 'then `git commit -am "…"` and `git push sandbox`'
PACKAGE = (
    "a package needs a line in requirements.txt, for the tests, and a place in the zip, for the "
    "function: `A package in the zip` in sandbox/README.md"
)


@dataclass(frozen=True)
class Finding:
    """The words that name a failure, what to do about it, and the line that the words are of."""

    said: str = ""
    hint: str = ""
    line: str = ""
    place: int | None = None  # the byte of the log at which it begins


def find(log: Path, done: Progress, outcome: Outcome) -> Finding:
    """Return what the log and the reports tell of the command for which a build has failed.

    Its place is the end of the command's output if no line tells it.
    """
    command = failing(done.phases, outcome.phase, outcome.reason)
    if not command:
        return Finding()
    with open(log, "rb") as stream:
        stream.seek(max(command.output or 0, (command.end or 0) - END))
        at = stream.tell()
        output = stream.read((command.end or 0) - at)
    cases = [case for report in outcome.reports for case in report.cases if case.status in BAD]
    found = explain(output.decode(errors="replace"), command.text, command.status or 0, cases)
    for line in output.split(b"\n"):
        if found.line and line.decode(errors="replace").strip() == found.line:
            break
        at += len(line) + 1
    return dataclasses.replace(found, place=min(at, command.end or 0))


def explain(output: str, command: str, status: int, cases: Sequence[Case] = ()) -> Finding:
    """Return what a command's output tells of its failure, and the cases that have failed in it."""
    if status == 5 and re.search(r"no tests ran|\d deselected in", output):  # pytest's status
        hint = "no test was found: files are called `test_*.py`, and the functions in them `test_…`"
        return Finding("no tests ran", hint)
    named = [case for case in cases if case.name in output]
    found = (
        function_answer(output, command)
        or empty_zip(output)
        or syntax_error(output)
        or failed_import(output)
        or failed_cases(output, named)
        or failed_tests(output)
        or refused_call(output)
        or failed_cases(output, cases if not telling(output) else ())
        or Finding(telling(output) or last(output))
    )
    line = found.line or found.said
    return Finding(one_line(found.said)[:MOST], one_line(found.hint)[:MOST], line.strip()[:END])


def syntax_error(output: str) -> Finding | None:
    """Find the line of a file that Python cannot read."""
    found = re.findall(
        r'^(?:E +|INTERNALERROR>)? *File "([^"]+)", line (\d+)\n(.*)\n'
        r"(?:.*\^.*\n)?((?:E +|INTERNALERROR> )?((?:Syntax|Indentation|Tab)Error: .*))$",
        output,
        re.MULTILINE,
    )
    if not found:
        return None
    path, line, code, whole, error = found[-1]
    name, written = PurePath(path).name, re.sub(r"^(?:E |INTERNALERROR>)", "", code).strip()
    return Finding(
        f"{name}, line {line}: {error}: {written}",
        f"mend line {line} of {name}, or a bracket or quotation mark above it, {PUSH}",
        whole,
    )


def failed_import(output: str) -> Finding | None:
    """Find what Python could not import."""
    found = re.findall(r"^((?:E +)?((?:ModuleNotFound|Import)Error: .+))$", output, re.MULTILINE)
    return Finding(found[-1][1], of_import(found[-1][1]), found[-1][0]) if found else None


def of_import(message: str) -> str:
    """Return what to do about a message of Python's import, or nothing."""
    if missing := re.search(r"No module named '([\w.]+)'", message):
        name = missing[1].split(".")[0]
        return f"if {name} is a file of yours, type `git add {name}.py`; {PACKAGE}"
    if missing := re.search(r"cannot import name '(\w+)' from (?:\S+ module )?'([\w.]+)'", message):
        return f"{missing[2]}.py has no {missing[1]}: write the same name in both files, {PUSH}"
    return ""


def failed_cases(output: str, cases: Sequence[Case]) -> Finding | None:
    """Return the first of the cases of a report that have failed, and what it says."""
    if not cases:
        return None
    message = cases[0].message
    of_pytest = re.search(r"^E +(\S.*)$", message, re.MULTILINE)
    raised = re.search(r"^Traceback .*\n(?: .*\n)+(\S.*)$", message, re.MULTILINE)
    told = of_pytest or raised or re.search(r"^\s*(\S.*)$", message, re.MULTILINE)
    return of_test(output, [(case.name, told[1] if told else "") for case in cases])


def of_test(output: str, failures: Sequence[tuple[str, str]]) -> Finding:
    """Return the first of the failures, each the name of a test and its message."""
    name, why = failures[0]
    others = f" (and {len(failures) - 1} more)" if failures[1:] else ""
    lines = output.splitlines()
    own = [line for line in lines if line.removeprefix("E ").strip() == why]
    lines = own or [line for line in lines if (why and why in line) or name in line]
    said = f"{name}: {why}" if why else f"{name} has failed"
    return Finding(one_line(said)[: MOST - len(others)] + others, "", (lines or [""])[0])


def failed_tests(output: str) -> Finding | None:
    """Find the first test of which a test tool says that it has failed, and why."""
    before, _, summary = output.rpartition("short test summary info")
    failures = []
    for first in re.findall(r"^(?:FAILED|ERROR) (.+)$", summary, re.MULTILINE) if before else []:
        name, _, why = first.partition(" - ")
        name = name.rpartition("::")[2]
        if not why or why.endswith("..."):  # pytest cuts it off there
            title = re.search(rf"^_+ .*{re.escape(name)} _+$", before, re.MULTILINE)
            section = before[title.end() if title else 0 :]
            full = re.search(r"^E +(\S.*)$", section, re.MULTILINE)
            why = full[1] if full else why
        failures.append((name, why))
    for pattern in TOOLS:
        if not failures:
            failures = [(each["name"], each["why"]) for each in pattern.finditer(output)]
    return of_test(output, failures) if failures else None


# How test tools write a failure: a test's name, and its message some lines below.
TOOLS = [
    re.compile(pattern, re.MULTILINE)
    for pattern in (
        # unittest
        r"^(?:FAIL|ERROR): (?P<name>\S+) \(.*\n(?:.*\n){1,3}?Traceback .*\n(?: .*\n)+(?P<why>\S.*)",
        # node --test, as TAP and in its own form; a group of tests fails with the first in it
        r"^( *)not ok \d+ - (?P<name>.*)\n\1  ---\n"
        r"(?:\1  (?!error|failureType: 'subtest|\.\.\.).*\n)*"
        r"\1  error: (?:\|-\n *|')?(?P<why>.*?)'?$",
        r"^test at .*\n✖ (?P<name>.*?)(?: \([\d.]+ms\))?\n +(?P<why>\S.*)",
        r"^ *--- FAIL: (?P<name>\S+) .*\n +(?P<why>\S.*)",  # go test
        r"^  ● (?P<name>.*)\n\n +(?P<why>\S.*)",  # Jest
        r'^File ".+", line \d+, in (?P<name>\S+)\nFailed example:\n +(?P<why>.*)',  # doctest
    )
]

# Lines that name an error, the surest first; a traceback ends with what it is about.
TELLS = [
    (re.compile(r"(E +)?[\w.]*(Error|Exception|Exit|Interrupt)\b(:.*)?"), -1),
    (re.compile(r"(FAIL|ERROR|FATAL|[Ff]atal|[Ee]rror|npm (ERR!|error))\b:? (?!code |usage).*"), 0),
    (
        re.compile(
            r"(?![=\-_#.\s])(?!collected |.*\b(no|\d+) (error|fail)).*\b(not found|[Nn]o such"
            r"|[Dd]enied|[Cc]annot|can't|[Rr]efused|failed|error|[Ii]nvalid|unrecognized)\b.*"
        ),
        0,
    ),
]
# What says nothing of a failure, or the reverse of one.
NOISE = re.compile(
    r"(#|ℹ) \w+ [\d.]+|\W*|OK|Ran \d+ .*|(?!.*\d (failed|error)).*\d passed.*|\[sandbox\] .*"
)


def telling(output: str) -> str:
    """Return the line that names an error, or nothing."""
    lines = [line for line in output.splitlines() if not NOISE.fullmatch(line)]
    for pattern, which in TELLS:
        if found := [line for line in lines if pattern.fullmatch(line)]:
            return found[which]
    return ""


def last(output: str) -> str:
    """Return the last words of an output, unless they say nothing."""
    lines = [line.strip() for line in output.splitlines()]
    return next((line for line in reversed(lines) if not NOISE.fullmatch(line)), "")


def function_answer(output: str, command: str) -> Finding | None:
    """Find what an invoked function has answered, where the command shows its answer."""
    for line in output.splitlines():
        try:
            answer, _ = json.JSONDecoder().raw_decode(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(answer, dict) and "errorMessage" in answer:
            kind, message = str(answer.get("errorType", "Error")), str(answer["errorMessage"])
            return Finding(f"the function said {kind}: {message}", of_function(kind, message), line)
        if "statusCode" in command:
            said = f"the function answered {json.dumps(answer)}"
            hint = "the handler must return a dictionary with `statusCode`, and 200 for a request "
            hint += "without a query"
            if isinstance(answer, dict) and answer.get("statusCode") == 200:
                kind = type(answer.get("body")).__name__
                what = "there is no body" if kind == "NoneType" else f"body is a {kind}, not text"
                said = f"{what}: {said}"
                hint = '`body` must be text: `"body": json.dumps(…)` makes text of what is none, '
                hint += PUSH
            return Finding(said, hint, line)
    return None


def of_function(kind: str, message: str) -> str:
    """Return what to do about an error with which a function has answered."""
    if kind == "Runtime.ImportModuleError":
        missing = re.search(r"module '(\w+)': No module named '([\w.]+)'", message)
        if missing and missing[1] == missing[2]:
            return (
                f"the zip holds no {missing[1]}.py: pack that file in buildspec.yml, "
                "or name another one as `Handler:` in template.yml, then `python3 -m sandbox up`"
            )
        if missing:
            name = missing[2].split(".")[0]
            return (
                f"if {name} is a file of yours, write {name}.py behind hello_user.py where "
                f"buildspec.yml packs the zip, {PUSH}; for a package, read `A package in the zip` "
                "in sandbox/README.md"
            )
        return of_import(message)
    return {
        "Runtime.HandlerNotFound": "give the function the name that `Handler:` in template.yml has",
        "Runtime.ExitError": f"code that is imported must not end Python: take that out, {PUSH}",
        "Sandbox.Timedout": "what runs at import must be quick: look for a loop without an end, or "
        "for a wait; `Timeout:` in template.yml is what a function may take",
        "Runtime.UserCodeSyntaxError": f"mend the line that the message names, {PUSH}",
    }.get(kind, "")


def empty_zip(output: str) -> Finding | None:
    """Find that a zip without a file was uploaded."""
    found = re.search(r"^.*Uploaded file must be a non-empty zip.*$", output, re.MULTILINE)
    hint = f"a file that the command for the zip names is not there: name the right one, {PUSH}"
    return Finding(found[0].strip(), hint) if found else None


def refused_call(output: str) -> Finding | None:
    """Find what AWS has refused, where that is a permission or a moment too early."""
    found = re.findall(r"^An error occurred \((\w+)\) when calling the .*$", output, re.MULTILINE)
    said = output[output.rfind("An error occurred (") :].partition("\n")[0]
    if found[-1:] == ["ResourceConflictException"]:
        if "calling the PublishVersion" not in said:
            return Finding(said, "wait some seconds, then type `python3 -m sandbox build`")
        waiter = "bring back the line with `aws lambda wait function-updated-v2`"
        return Finding(said, f"{waiter}, {PUSH}")
    action = re.search(r"not authorized to perform: ([\w-]+:\w+)", said)
    if found and action:
        return Finding(
            said,
            f"allow {action[1]} in `BuildRole` of template.yml, "
            'then `git commit -am "…"` and `python3 -m sandbox up`',
        )
    return None
