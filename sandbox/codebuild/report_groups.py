"""The report groups of a buildspec, from YAML to dataclasses.

https://docs.aws.amazon.com/codebuild/latest/userguide/build-spec-ref.html#build-spec.reports
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import yaml

from sandbox.codebuild.buildspec import (
    COVERAGE_FORMATS,
    READ_HERE,
    TEST_FORMATS,
    Files,
    ReportGroup,
)
from sandbox.codebuild.yaml_nodes import Walk

KEYS = ("files", "file-format", "base-directory", "discard-paths")
FORMATS = (*TEST_FORMATS, *COVERAGE_FORMATS)
GROUPS = 5  # in one buildspec
PassOver = Callable[[str, dict[str, yaml.Node], Iterable[str]], None]


def report_groups(
    walk: Walk, node: yaml.Node | None, pass_over: PassOver
) -> tuple[ReportGroup, ...]:
    """Read the key `reports`; `pass_over` warns of unknown keys.

    Raises BuildspecError if CodeBuild would refuse it.
    """
    groups = walk.mapping(node, "reports")
    if len(groups) > GROUPS:
        raise walk.fail(
            node,
            f"reports names {len(groups)} report groups; CodeBuild takes {GROUPS}",
            "put several patterns into the `files:` of one group",
        )
    return tuple(report_group(walk, name, group, pass_over) for name, group in groups.items())


def report_group(walk: Walk, name: str, node: yaml.Node, pass_over: PassOver) -> ReportGroup:
    """Read one report group."""
    keys = walk.mapping(node, f"reports.{name}")
    pass_over(f"reports.{name}", keys, KEYS)
    files = walk.texts(keys.get("files"), "files")
    if not files:
        raise walk.fail(
            node, f"reports.{name} has no files", "write `files:` with a list of patterns"
        )
    given = {key: walk.text(value, key) for key, value in keys.items() if key in KEYS[1:]}
    file_format = given.get("file-format", READ_HERE).upper()
    if file_format not in FORMATS:
        raise walk.fail(
            keys["file-format"],
            f"file-format is {given['file-format']!r}; CodeBuild knows {', '.join(FORMATS)}",
            f"write `file-format: {READ_HERE}`, which is what `pytest --junitxml` makes",
        )
    if file_format != READ_HERE:
        walk.warn(
            keys["file-format"],
            f"file-format: {file_format} is checked; this laptop shows the cases of {READ_HERE}",
        )
    discard = given.get("discard-paths", "no").lower() in ("yes", "true")
    return ReportGroup(name, Files(files, given.get("base-directory") or ".", discard), file_format)
