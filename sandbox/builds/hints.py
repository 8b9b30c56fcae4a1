"""What the command that failed has said, and what to do: read from the end of a build's log."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath

from sandbox.laptop.terminal import one_line

MOST = 300  # characters of what is quoted
PUSH = 'then `git commit -am "…"` and `git push sandbox`'
PACKAGE = (
    "a package needs a line in requirements.txt, for the tests, and a place in the zip, for the "
    "function: `A package in the zip` in sandbox/README.md"
)


@dataclass(frozen=True)
class Finding:
    """The words that name a failure, and what to do about it; either may be empty."""

    said: str = ""
    hint: str = ""


NO_TEST = Finding(
    "no tests ran",
    "no test was found: files are called `test_*.py`, and the functions in them `test_…`",
)

NO_STATUS = (
    "the handler must return a dictionary with `statusCode`, and 200 for a request without a query"
)

EMPTY = f"a file that the command for the zip names is not there: name the right one, {PUSH}"


def find(log: str, reason: str) -> Finding:
    """Return what the output of the failed command tells; `reason` is the one of the build."""
    match = re.fullmatch(
        r"Error while executing command: (.*)\. Reason: exit status (\d+)", reason, re.DOTALL
    )
    if not match:
        return Finding()
    end = log.rfind(f"Command did not exit successfully {match[1]} exit status {match[2]}")
    start = log.rfind(f"Running command {match[1]}\n", 0, max(end, 0))
    lines = log[start:end].removeprefix(f"Running command {match[1]}\n") if start >= 0 else ""
    output = "\n".join(lines.splitlines()[:-1])  # the last one is where that message begins
    if match[2] == "5" and re.search(r"no tests ran|\d deselected in", output):  # pytest's status
        return NO_TEST
    for explain in EXPLANATIONS:
        if found := explain(output, match[1]):
            return Finding(one_line(found.said)[:MOST], one_line(found.hint)[:MOST])
    words = [line.strip() for line in output.splitlines() if line.strip()]
    return Finding(one_line(words[-1])[:MOST] if words else "")


def syntax_error(output: str, _: str) -> Finding | None:
    """Find the line of a file that Python cannot read."""
    found = re.findall(
        r'^(?:E +|INTERNALERROR>)? *File "([^"]+)", line (\d+)\n(.*)\n'
        r"(?:.*\^.*\n)?(?:E +|INTERNALERROR> )?((?:Syntax|Indentation|Tab)Error: .*)$",
        output,
        re.MULTILINE,
    )
    if not found:
        return None
    path, line, code, error = found[-1]
    name, written = PurePath(path).name, re.sub(r"^(?:E |INTERNALERROR>)", "", code).strip()
    return Finding(
        f"{name}, line {line}: {error}: {written}",
        f"mend line {line} of {name}, or a bracket or quotation mark above it, {PUSH}",
    )


def failed_import(output: str, _: str) -> Finding | None:
    """Find what Python could not import."""
    found = re.findall(r"^(?:E +)?((?:ModuleNotFound|Import)Error: .+)$", output, re.MULTILINE)
    return Finding(found[-1], of_import(found[-1])) if found else None


def of_import(message: str) -> str:
    """Return what to do about a message of Python's import, or nothing."""
    if missing := re.search(r"No module named '([\w.]+)'", message):
        name = missing[1].split(".")[0]
        return f"if {name} is a file of yours, type `git add {name}.py`; {PACKAGE}"
    if missing := re.search(r"cannot import name '(\w+)' from (?:\S+ module )?'([\w.]+)'", message):
        return f"{missing[2]}.py has no {missing[1]}: write the same name in both files, {PUSH}"
    return ""


def failed_test(output: str, _: str) -> Finding | None:
    """Find the first failure in pytest's summary, with the reason that is cut off there."""
    before, _, summary = output.rpartition("short test summary info")
    found = re.findall(r"^(?:FAILED|ERROR) .+$", summary, re.MULTILINE)
    if not found:
        return None
    first, _, reason = found[0].partition(" - ")
    name = first.rpartition("::")[2].removeprefix("ERROR ")
    section = re.split(rf"^_+ .*{re.escape(name)} _+$", before, maxsplit=1, flags=re.MULTILINE)[-1]
    full = re.search(r"^E +(\S.*)$", section, re.MULTILINE)
    if full and (not reason or reason.endswith("...")):
        reason = full[1]
    others = f" (and {len(found) - 1} more)" if found[1:] else ""
    return Finding(f"{first} - {reason}"[: MOST - len(others)] + others)


def function_answer(output: str, command: str) -> Finding | None:
    """Find what an invoked function has answered, where the command shows its answer."""
    for line in output.splitlines():
        try:
            answer, _ = json.JSONDecoder().raw_decode(line)
        except ValueError:
            continue
        if isinstance(answer, dict) and "errorMessage" in answer:
            kind, message = str(answer.get("errorType", "Error")), str(answer["errorMessage"])
            return Finding(f"the function said {kind}: {message}", of_function(kind, message))
        if "statusCode" in command:
            return Finding(f"the function answered {json.dumps(answer)}", NO_STATUS)
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


def empty_zip(output: str, _: str) -> Finding | None:
    """Find that a zip without a file was uploaded."""
    found = re.search(r"^.*Uploaded file must be a non-empty zip.*$", output, re.MULTILINE)
    return Finding(found[0].strip(), EMPTY) if found else None


def refused_call(output: str, _: str) -> Finding | None:
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


EXPLANATIONS: tuple[Callable[[str, str], Finding | None], ...] = (
    function_answer,
    empty_zip,
    syntax_error,
    failed_import,
    failed_test,
    refused_call,
)
