"""The files that test tools write: JUnit XML is read, of the other formats only what they are.

https://docs.aws.amazon.com/codebuild/latest/userguide/test-reporting.html
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING
from xml.etree.ElementTree import ParseError

from sandbox.codebuild.log import without_escapes
from sandbox.codebuild.reports import Case

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

TEXT = 4096  # characters of a message that are kept
DEPTH = 100  # levels of suites in suites
LONGEST = 36 * 3600  # seconds that a build may last, and so a test
KINDS = {"failure": "FAILED", "error": "ERROR", "skipped": "SKIPPED"}
# The first element of a file; CodeBuild refuses a file that begins with another.
ROOTS = {
    "JUNITXML": ("testsuite", "testsuites"),
    "NUNITXML": ("test-results",),
    "NUNIT3XML": ("test-run",),
    "TESTNGXML": ("testng-results",),
    "VISUALSTUDIOTRX": ("TestRun",),
    "CLOVERXML": ("coverage",),
    "COBERTURAXML": ("coverage",),
    "JACOCOXML": ("report",),
}


def cases(content: bytes, file_format: str) -> list[Case]:
    """Return the test cases of a file, none if it is no JUnit XML and should be none.

    Raises ValueError if it is not of its format. A build's file is hostile: entities, which could
    name files or grow without end, are refused.
    """
    from defusedxml import DefusedXmlException, ElementTree

    if file_format not in ROOTS:
        try:
            json.loads(content)
        except RecursionError:
            raise ValueError("it is nested too deeply") from None
        return []
    try:
        root = ElementTree.fromstring(content)
    except (ParseError, DefusedXmlException, LookupError) as error:
        raise ValueError(f"it is no XML ({error})") from None
    if name(root) not in ROOTS[file_format]:
        expected = ROOTS[file_format][0]
        raise ValueError(f"expected element type <{expected}> but have <{name(root)}>")
    return [*of_suites(root)] if file_format == "JUNITXML" else []


def name(element: Element) -> str:
    """Return an element's name without its namespace."""
    return element.tag.rpartition("}")[2]


def of_suites(suite: Element, depth: int = 1) -> Iterator[Case]:
    """Yield the cases of a suite and of those in it, each once."""
    if depth > DEPTH:
        raise ValueError(f"its suites are nested more than {DEPTH} levels deep")
    check_summary(suite.attrib)
    for child in suite:
        if name(child) == "testcase":
            yield one(child, suite.get("name", ""))
        elif name(child) == "testsuite":
            yield from of_suites(child, depth + 1)


def check_summary(counts: Mapping[str, str]) -> None:
    """Raise ValueError for counts of a suite that cannot be; `tests` is the sum of all others."""
    found = {}
    for kind in ("tests", "failures", "errors", "skipped"):
        text = counts.get(kind, "").strip()
        if not re.fullmatch(r"(-?[0-9]{1,9})?", text):
            raise ValueError(f"{kind}={text[:20]!r} is no count")
        found[kind] = int(text or 0)
    passed = found["tests"] - found["failures"] - found["errors"] - found["skipped"]
    if "tests" in counts and min(passed, *found.values()) < 0:
        raise ValueError("InvalidInputException: Test summary: status count cannot be negative")


def one(case: Element, suite: str) -> Case:
    """Return one test case; what went wrong counts more than that it was skipped."""
    status, message = "SUCCEEDED", ""
    for result in case:
        kind = KINDS.get(name(result), "")
        if kind and status in ("SUCCEEDED", "SKIPPED"):
            status, message = kind, (result.text or "").strip() or result.get("message", "")
    return Case(
        name=plain(case.get("name") or "?")[:TEXT],
        suite=plain(case.get("classname") or suite)[:TEXT],
        status=status,
        seconds=seconds_of(case.get("time", "")),
        message=plain(message).strip()[:TEXT],
    )


def plain(text: str) -> str:
    """Return text without escape sequences, of which XML cannot hold the first character.

    pytest writes `#x1B` for it, Surefire `&amp#27;`, others a picture of it or of nothing.
    """
    text = re.sub(
        r"(?:#x1B|&(?:amp)?#(?:27|x1b);|[\u241b\ufffd])(?=\[)", "\x1b", text, flags=re.IGNORECASE
    )
    return without_escapes(text.encode(errors="replace"))[0].decode()


def seconds_of(text: str) -> float:
    """Return how long a case took, 0 if the file does not say, or what cannot be."""
    with contextlib.suppress(ValueError):
        if 0 <= float(text) <= LONGEST:
            return float(text)
    return 0.0
