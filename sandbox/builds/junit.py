"""JUnit XML, the form in which pytest and most other test tools write down their results."""

from __future__ import annotations

from typing import Any
from xml.etree.ElementTree import ParseError

from sandbox.codebuild.reports import Case

TEXT = 4096  # characters of a message that are kept


def cases(content: bytes) -> list[Case]:
    """Return the test cases of a JUnit XML file; raises ValueError if it is none.

    A build's file is hostile: entities, which could name files or grow without end, are refused.
    """
    import junitparser
    from defusedxml import DefusedXmlException, ElementTree
    from junitparser import TestCase

    try:
        root = ElementTree.fromstring(content)
        parsed = junitparser.JUnitXml.fromroot(root)
    except (ParseError, DefusedXmlException, junitparser.JUnitXmlError) as error:
        raise ValueError(f"it is no JUnit XML ({error})") from None
    suites: list[Any] = [parsed] if isinstance(parsed, junitparser.TestSuite) else list(parsed)
    found: list[Case] = []
    while suites:
        suite = suites.pop(0)
        suites += suite.testsuites()
        found += [one(case, suite.name or "") for case in suite if type(case) is TestCase]
    return found


def one(case: object, suite: str) -> Case:
    """Return one case of junitparser's as ours."""
    import junitparser

    status, message = "SUCCEEDED", ""
    known = (
        (junitparser.Failure, "FAILED"),
        (junitparser.Error, "ERROR"),
        (junitparser.Skipped, "SKIPPED"),
    )
    for result in getattr(case, "result", None) or []:
        for kind, name in known:
            if isinstance(result, kind) and status in ("SUCCEEDED", "SKIPPED"):
                status = name
                message = result.text or result.message or ""
    return Case(
        name=str(getattr(case, "name", None) or "?")[:TEXT],
        suite=str(getattr(case, "classname", None) or suite)[:TEXT],
        status=status,
        seconds=seconds_of(case),
        message=message.strip()[:TEXT],
    )


def seconds_of(case: object) -> float:
    """Return how long a case took, 0 if the file does not say."""
    try:
        return max(0.0, float(getattr(case, "time", None) or 0))
    except ValueError:
        return 0.0
