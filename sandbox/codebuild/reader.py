"""The reader of a buildspec: from text to dataclasses, with CodeBuild's own words for errors.

Source of the rules: https://docs.aws.amazon.com/codebuild/latest/userguide/build-spec-ref.html
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

import yaml

from sandbox.codebuild.buildspec import (
    PHASES,
    SHELLS,
    WINDOWS_SHELLS,
    Buildspec,
    Obstacle,
    OnFailure,
    Phase,
)
from sandbox.codebuild.misreadings import CarefulWalk
from sandbox.codebuild.report_groups import report_groups
from sandbox.codebuild.yaml_nodes import QUOTE_IT, compose, is_null, line_of

RUNTIMES = ("dotnet", "golang", "java", "nodejs", "php", "python", "ruby")
KEYS = ("version", "run-as", "env", "proxy", "batch", "phases", "reports", "artifacts", "cache")
ENV_KEYS = (
    "shell",
    "variables",
    "parameter-store",
    "secrets-manager",
    "exported-variables",
    "git-credential-helper",
)
PHASE_KEYS = ("run-as", "on-failure", "commands", "finally")
# What CodeBuild honours and a laptop does not; README.md shows the same table.
PASSED_OVER = {
    "run-as": "on a laptop all commands run as you",
    "proxy": "only for builds behind a proxy server, passed over here",
    "batch": "read only by batch builds, and this is none",
    "cache": "passed over: each build here starts clean",
    "artifacts": "passed over: the project in template.yml has NO_ARTIFACTS, "
    "so AWS uploads nothing either",
    "git-credential-helper": "passed over: a build here has no git credentials",
}


def read(content: bytes) -> Buildspec:
    """Read a buildspec's bytes; raises BuildspecError with the place and a hint."""
    return Reader(compose(content), content.decode("utf-8-sig").splitlines()).buildspec()


class Reader(CarefulWalk):
    """Reads the keys of one buildspec."""

    def __init__(self, root: yaml.Node | None, lines: list[str]) -> None:
        super().__init__(root, lines)
        self.unknown: list[tuple[str, str]] = []
        self.obstacles: list[Obstacle] = []
        self.scripts: list[tuple[int, str]] = []

    def buildspec(self) -> Buildspec:
        if self.root is None or is_null(self.root):
            raise self.fail(
                None, "the file is empty", "write `version: 0.2` and `phases:` with your commands"
            )
        top = self.mapping(self.root, "the file")
        version = self.version(top.get("version"))
        env = self.mapping(top.get("env"), "env")
        legacy = self.mapping(
            top.get("environment_variables") if version == "0.1" else None, "environment_variables"
        )
        phases_node = top.get("phases")
        if phases_node is None or not phases_node.value or is_null(phases_node):
            if "batch" not in top:
                raise self.fail(
                    phases_node or self.root,
                    "phases is missing or empty",
                    "write `phases:` with at least one of install, pre_build, build and post_build",
                )
            self.hinder(
                top["batch"],
                "a batch without phases: a push starts one build, no batch",
                "give each build of the batch a buildspec with phases",
            )
        phases = self.phases(self.mapping(phases_node, "phases"))
        if phases_node is not None and not self.scripts:
            self.warn(phases_node, "nothing would run: no phase has a command")
        install = self.mapping(self.mapping(phases_node, "phases").get("install"), "install")
        reports = report_groups(self, top.get("reports"), self.pass_over)
        for section, key in (("artifacts", "files"), ("cache", "paths")):
            found = top.get(section)
            if isinstance(found, yaml.MappingNode):  # passed over here, but not on AWS
                self.look_at_all(next((value for k, value in found.value if k.value == key), None))
        self.pass_over("", top, [*KEYS, *(["environment_variables"] if version == "0.1" else [])])
        self.pass_over("env", env, ENV_KEYS)
        return Buildspec(
            version=version,
            phases=phases,
            shell=self.shell(env.get("shell")),
            variables=self.variables(legacy.get("plaintext"))
            | self.variables(env.get("variables")),
            parameter_store=self.variables(env.get("parameter-store")),
            secrets_manager=self.variables(env.get("secrets-manager")),
            exported_variables=self.names(env.get("exported-variables")),
            runtimes=self.runtimes(install.get("runtime-versions")),
            reports=reports,
            has_cache="cache" in top,
            warnings=tuple(sorted(self.warnings)),
            unknown=tuple(self.unknown),
            obstacles=tuple(self.obstacles),
            scripts=tuple(self.scripts),
        )

    def hinder(self, node: yaml.Node, text: str, hint: str) -> None:
        """Note why this machine does not run what CodeBuild would."""
        place = self.keys.get(id(node), node)
        self.obstacles.append(Obstacle(text, hint, line_of(place), place.start_mark.column + 1))

    def version(self, node: yaml.Node | None) -> str:
        text = self.text(node, "version") if node is not None else ""
        if text not in ("0.1", "0.2"):
            found = f"version is {text!r}" if text else "version is missing"
            raise self.fail(
                node or self.root, f"{found}; CodeBuild knows 0.1 and 0.2", "write `version: 0.2`"
            )
        return text

    def shell(self, node: yaml.Node | None) -> str:
        name = self.text(node, "shell") if node is not None else ""
        if name in WINDOWS_SHELLS and node is not None:
            self.hinder(
                node,
                f"env.shell is {name!r}; this laptop runs sh and bash",
                "write `shell: bash`, or leave the line out for sh",
            )
        elif name and name not in SHELLS:
            raise self.fail(
                node,
                f"env.shell is {name!r}; CodeBuild knows bash, /bin/sh, powershell.exe and cmd.exe",
                "write `shell: bash`, or leave the line out for sh",
            )
        return name

    def phases(self, nodes: dict[str, yaml.Node]) -> dict[str, Phase]:
        found = {name: Phase(name) for name in PHASES}
        for key, node in nodes.items():
            name = key.upper()
            if name not in PHASES or key != key.lower():
                near = key.lower().replace("-", "_").replace(" ", "_")
                near = {"prebuild": "pre_build", "postbuild": "post_build"}.get(near, near)
                hint = "move its commands below one of install, pre_build, build and post_build"
                if near.upper() in PHASES:
                    hint = f"write `{near}:`"
                raise self.fail(
                    self.keys[id(node)],
                    f"Invalid buildspec phase name: {key}. "
                    f"Expecting: {','.join(sorted(map(str.lower, PHASES)))}",
                    hint,
                )
            parts = self.mapping(node, key)
            self.pass_over(
                name, parts, [*PHASE_KEYS, *(["runtime-versions"] if key == "install" else [])]
            )
            found[name] = Phase(
                name,
                True,
                self.commands(parts.get("commands")),
                self.commands(parts.get("finally")),
                self.on_failure(parts.get("on-failure")),
            )
        return found

    def commands(self, node: yaml.Node | None) -> tuple[str, ...]:
        if node is None or is_null(node):
            return ()
        if isinstance(node, yaml.MappingNode):
            raise self.fail(
                node,
                "wrong number of container tags, expected 1",
                "write the commands as a list: each on a line of its own that starts with `- `",
            )
        items = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for index, item in enumerate(items):
            if not isinstance(item, yaml.ScalarNode):
                line = line_of(item)
                kind = "subkeys" if isinstance(item, yaml.MappingNode) else "a list"
                raise self.fail(
                    item,
                    f"Expected Commands[{index}] to be of string type: found {kind} instead at "
                    f"line {line}, value of the key tag on line {max(line - 1, 0)} might be empty",
                    f"a colon with a space after it makes a key: {QUOTE_IT}"
                    if kind == "subkeys"
                    else QUOTE_IT,
                )
        self.look_at_all(node)
        commands = [item for item in items if not is_null(item)]
        self.scripts += [(line_of(item), item.value) for item in commands]
        return tuple(item.value for item in commands)

    def on_failure(self, node: yaml.Node | None) -> OnFailure:
        if node is None or is_null(node):
            return OnFailure()
        text = self.text(node, "on-failure")
        if text.upper() in ("ABORT", "CONTINUE"):
            return OnFailure(text.upper())
        match = re.fullmatch(r"RETRY(?:-([0-9]+))?(?:-(.+))?", text, re.DOTALL | re.IGNORECASE)
        tries = int((match[1] or "3").lstrip("0")[:4] or 0) if match else 0
        if not match or tries > 100:
            raise self.fail(
                node,
                f"on-failure is {text!r}; CodeBuild knows ABORT, CONTINUE, RETRY, RETRY-<count>, "
                "RETRY-<regex> and RETRY-<count>-<regex>, with a count of 0 to 100",
                "write `on-failure: ABORT`, or leave the line out",
            )
        try:
            re.compile(match[2] or ".*")
        except (
            re.error,
            OverflowError,
            RecursionError,
        ) as error:  # CodeBuild's own kind of regular expression is not documented
            self.hinder(
                node,
                f"on-failure: {match[2]!r} is no regular expression to Python ({error})",
                "write `RETRY-3` to retry whatever the error is",
            )
        return OnFailure("RETRY", tries, match[2] or ".*")

    def runtimes(self, node: yaml.Node | None) -> dict[str, str]:
        wanted, nodes = self.variables(node), self.mapping(node, "runtime-versions")
        for name, version in wanted.items():
            if name not in RUNTIMES:
                raise self.fail(
                    node,
                    f"Unknown runtime named '{name}'. This build image has the following runtimes: "
                    f"{', '.join(RUNTIMES)}",
                    f"delete the line `{name}: …` below runtime-versions",
                )
            value = nodes[name]
            if (
                value.tag == "tag:yaml.org,2002:float"
                and version.endswith("0")
                and version != str(float(version))
            ):
                self.warn(
                    value,
                    f"{name}: {version} is the number {float(version)} to YAML: "
                    f'"{version}" is safe',
                )
        return wanted

    def pass_over(self, section: str, nodes: dict[str, yaml.Node], known: Iterable[str]) -> None:
        """Warn of each key that this machine, or CodeBuild itself, passes over."""
        for key, node in nodes.items():
            if key in known and key in PASSED_OVER:
                self.warn(node, f"{key}: {PASSED_OVER[key]}")
            elif key not in known:
                near = difflib.get_close_matches(key.lower(), list(known), 1)
                self.warn(
                    node,
                    f"{key!r} is no key that counts here, it is passed over"
                    + (f"; did you mean `{near[0]}:`?" if near else ""),
                )
                self.unknown += [(section, key)] if section else []

    def variables(self, node: yaml.Node | None) -> dict[str, str]:
        found = {}
        for name, value in self.mapping(node, "this").items():
            found[name] = self.text(value, name)
            self.look_at_value(value)
            if name.startswith("CODEBUILD_"):
                self.warn(
                    value,
                    f"{name}: names with CODEBUILD_ belong to CodeBuild, whose own value wins",
                )
            if "\0" in found[name] or "=" in name or not name:
                raise self.fail(
                    value,
                    f"{name!r} cannot be a variable",
                    "use letters, digits and _ for the name",
                )
        return found

    def names(self, node: yaml.Node | None) -> tuple[str, ...]:
        found = self.texts(node, "exported-variables")
        for name in found:
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
                raise self.fail(
                    node,
                    f"exported-variables: {name!r} is no name of a variable",
                    "write the name alone, without $ and without a value",
                )
        return found
