"""The buildspec: read once into frozen dataclasses, with CodeBuild's own messages for its errors.

Source of the rules: https://docs.aws.amazon.com/codebuild/latest/userguide/build-spec-ref.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml

PHASES = ("INSTALL", "PRE_BUILD", "BUILD", "POST_BUILD")
RUNTIMES = ("dotnet", "golang", "java", "nodejs", "php", "python", "ruby")
SHELLS = {"sh": "sh", "/bin/sh": "sh", "bash": "bash", "/bin/bash": "bash"}
QUOTE_IT = "put the whole command in single quotes, or write it below `- |`"


class BuildspecError(Exception):
    """A buildspec that CodeBuild, or this laptop, refuses; `line` and `column` count from 1."""

    def __init__(self, message: str, hint: str, line: int | None = None, column: int | None = None,
                 code: str = "YAML_FILE_ERROR"):
        super().__init__(message)
        self.message, self.hint, self.line, self.column, self.code = message, hint, line, column, code


@dataclass(frozen=True)
class OnFailure:
    """What follows a failed phase: `action` is None, ABORT, CONTINUE or RETRY."""

    action: str | None = None
    tries: int = 0
    pattern: str = ".*"


@dataclass(frozen=True)
class Phase:
    """One phase; an absent one has no commands and is still entered."""

    name: str
    present: bool = False
    commands: tuple[str, ...] = ()
    finally_commands: tuple[str, ...] = ()
    on_failure: OnFailure = OnFailure()
    run_as: str | None = None


@dataclass(frozen=True)
class Report:
    """One group of test reports."""

    name: str
    files: tuple[str, ...]
    base_directory: str
    file_format: str


@dataclass(frozen=True)
class Buildspec:
    """A buildspec that can be run; `warnings` are (line, text) of what the laptop passes over."""

    version: str
    phases: dict[str, Phase]
    shell: str = "sh"
    variables: dict[str, str] = field(default_factory=dict)
    parameter_store: dict[str, str] = field(default_factory=dict)
    secrets_manager: dict[str, str] = field(default_factory=dict)
    exported_variables: tuple[str, ...] = ()
    runtimes: dict[str, str] = field(default_factory=dict)
    reports: tuple[Report, ...] = ()
    has_artifacts: bool = False
    has_cache: bool = False
    warnings: tuple[tuple[int, str], ...] = ()


def read(content: bytes) -> Buildspec:
    """Read a buildspec's bytes; raises BuildspecError with the place and a hint."""
    return Reader(compose(content)).buildspec()


def compose(content: bytes) -> yaml.Node | None:
    """Parse YAML to nodes, which know their lines and keep each scalar as it was written."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise BuildspecError(f"invalid bytes at line {line}: the file is not UTF-8 text",
                             "save the file as UTF-8", line, 1) from None
    loader = None
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        flatten(loader, node, set())
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise BuildspecError(f"control characters are not allowed at line {line}",
                             "delete the character that your editor does not show", line,
                             error.position - text.rfind("\n", 0, error.position)) from None
    except yaml.MarkedYAMLError as error:
        raise explained(error, text) from None
    except (RecursionError, ValueError):
        raise BuildspecError("the file is nested too deeply", "write phases and commands as in the example in "
                             "README.md") from None
    finally:
        if loader:
            loader.dispose()
    return node


def flatten(loader: yaml.SafeLoader, node: yaml.Node | None, seen: set[int]) -> None:
    """Apply merge keys (<<), and refuse a key that stands twice in one mapping."""
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            flatten(loader, item, seen)
    elif isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in lines:
                    first = lines[key.value]
                    raise BuildspecError(
                        f"key {key.value!r} at line {line_of(key)} is already there at line {first}",
                        "put both contents under one key: of two, all but the last would be lost without a word",
                        line_of(key), key.start_mark.column + 1)
                lines[key.value] = line_of(key)
            flatten(loader, value, seen)
        loader.flatten_mapping(node)


def explained(error: yaml.MarkedYAMLError, text: str) -> BuildspecError:
    """Turn a YAML error into CodeBuild's words, with the student's line and a hint."""
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    lines = text.splitlines()
    written = lines[line - 1] if line <= len(lines) else ""
    problem = error.problem or "the YAML cannot be read"
    if "\t" in written[:column] and not written[:column].strip():
        return BuildspecError(f"found character that cannot start any token at line {line}",
                              "indent with spaces: YAML takes no tabs", line, column)
    if "mapping values are not allowed" in problem:
        return BuildspecError(f"mapping values are not allowed in this context at line {line}",
                              f"a colon with a space after it makes a key: {QUOTE_IT}", line, column)
    if "cannot start any token" in problem:
        return BuildspecError(f"found character that cannot start any token at line {line}",
                              f"{written[column - 1:column]!r} cannot start a plain text: {QUOTE_IT}", line, column)
    if "undefined alias" in problem:
        hint = f"a text that starts with * is an alias in YAML: {QUOTE_IT}"
    elif "expected a single document" in problem:
        hint = "keep one document in the file: delete the line `---` and what follows it"
    elif "unexpected end" in problem or "scanning a quoted scalar" in str(error.context):
        hint = "close the quotation mark that was opened"
    else:
        hint = "line up the keys of one level in one column, and each `- ` of one list in one column"
    return BuildspecError(f"{problem} at line {line}", hint, line, column)


def line_of(node: yaml.Node) -> int:
    """Return the line where a node starts, from 1."""
    return int(node.start_mark.line) + 1


class Reader:
    """Walks the nodes of one file and collects warnings on the way."""

    def __init__(self, root: yaml.Node | None):
        self.root = root
        self.warnings: list[tuple[int, str]] = []

    def fail(self, node: yaml.Node | None, message: str, hint: str) -> BuildspecError:
        if node is None:
            return BuildspecError(message, hint, 1, 1)
        return BuildspecError(message, hint, line_of(node), node.start_mark.column + 1)

    def warn(self, node: yaml.Node, text: str) -> None:
        self.warnings.append((line_of(node), text))

    def buildspec(self) -> Buildspec:
        if self.root is None or is_null(self.root):
            raise self.fail(None, "the file is empty", "write `version: 0.2` and `phases:` with your commands")
        top = self.mapping(self.root, "the file")
        version = self.version(top.get("version"))
        env = self.mapping(top.get("env"), "env")
        legacy = self.mapping(top.get("environment_variables"), "environment_variables")
        phases_node = top.get("phases")
        if phases_node is None or is_null(phases_node):
            raise self.fail(phases_node or self.root, "phases is missing or empty",
                            "write `phases:` with at least one of install, pre_build, build and post_build")
        phases = self.phases(self.mapping(phases_node, "phases"))
        install = self.mapping(self.mapping(phases_node, "phases").get("install"), "install")
        self.pass_over(top, env)
        return Buildspec(
            version=version, phases=phases, shell=self.shell(env.get("shell")),
            variables=self.variables(legacy.get("plaintext") if version == "0.1" else env.get("variables")),
            parameter_store=self.variables(env.get("parameter-store")),
            secrets_manager=self.variables(env.get("secrets-manager")),
            exported_variables=self.texts(env.get("exported-variables"), "exported-variables"),
            runtimes=self.runtimes(install.get("runtime-versions")),
            reports=tuple(self.reports(top.get("reports"))),
            has_artifacts="artifacts" in top, has_cache="cache" in top,
            warnings=tuple(sorted(self.warnings)))

    def version(self, node: yaml.Node | None) -> str:
        text = self.text(node, "version") if node is not None else ""
        if text not in ("0.1", "0.2"):
            found = f"version is {text!r}" if text else "version is missing"
            raise self.fail(node or self.root, f"{found}; CodeBuild knows 0.1 and 0.2", "write `version: 0.2`")
        return text

    def shell(self, node: yaml.Node | None) -> str:
        name = self.text(node, "shell") if node is not None else "sh"
        if name not in SHELLS:
            raise self.fail(node, f"env.shell is {name!r}; this laptop runs sh and bash",
                            "write `shell: bash`, or leave the line out for sh")
        return SHELLS[name]

    def phases(self, nodes: dict[str, yaml.Node]) -> dict[str, Phase]:
        found = {name: Phase(name) for name in PHASES}
        for key, node in nodes.items():
            name = key.upper()
            if name not in PHASES or key != key.lower():
                near = key.lower().replace("-", "_").replace(" ", "_")
                near = {"prebuild": "pre_build", "postbuild": "post_build"}.get(near, near)
                hint = f"write `{near}:`" if near.upper() in PHASES else (
                    "move its commands below one of install, pre_build, build and post_build")
                raise self.fail(self.key_of("phases", key), f"Invalid buildspec phase name: {name}. "
                                f"Expecting: {','.join(sorted(PHASES))}", hint)
            parts = self.mapping(node, key)
            run_as = self.text(parts["run-as"], "run-as") if "run-as" in parts else None
            if run_as:
                self.warn(parts["run-as"], f"run-as {run_as}: on a laptop all commands run as you")
            found[name] = Phase(name, True, self.commands(parts.get("commands")),
                                self.commands(parts.get("finally")),
                                self.on_failure(parts.get("on-failure")), run_as)
        return found

    def key_of(self, parent: str, key: str) -> yaml.Node | None:
        """Return the node of a key below a top-level mapping, for its place."""
        for top_key, top_value in self.root.value:
            if top_key.value == parent and isinstance(top_value, yaml.MappingNode):
                return next((node for node, _ in top_value.value if node.value == key), top_value)
        return None

    def commands(self, node: yaml.Node | None) -> tuple[str, ...]:
        if node is None or is_null(node):
            return ()
        if isinstance(node, yaml.ScalarNode):
            return (node.value,)
        if isinstance(node, yaml.MappingNode):
            raise self.fail(node, "wrong number of container tags, expected 1",
                            "write the commands as a list: each on a line of its own that starts with `- `")
        for index, item in enumerate(node.value):
            if not isinstance(item, yaml.ScalarNode):
                line = line_of(item)
                kind = "subkeys" if isinstance(item, yaml.MappingNode) else "a list"
                raise self.fail(item, f"Expected Commands[{index}] to be of string type: found {kind} instead at "
                                f"line {line}, value of the key tag on line {max(line - 1, 0)} might be empty",
                                f"a colon with a space after it makes a key: {QUOTE_IT}" if kind == "subkeys"
                                else QUOTE_IT)
        return tuple(item.value for item in node.value if not is_null(item))

    def on_failure(self, node: yaml.Node | None) -> OnFailure:
        if node is None or is_null(node):
            return OnFailure()
        text = self.text(node, "on-failure")
        if text in ("ABORT", "CONTINUE"):
            return OnFailure(text)
        match = re.fullmatch(r"RETRY(?:-(\d{1,3}))?(?:-(.+))?", text, re.DOTALL)
        tries = int(match[1] or 3) if match else 0
        if not match or tries > 100:
            raise self.fail(node, f"on-failure is {text!r}; CodeBuild knows ABORT, CONTINUE, RETRY, RETRY-<count>, "
                            "RETRY-<regex> and RETRY-<count>-<regex>, with a count of 0 to 100",
                            "write `on-failure: ABORT`, or leave the line out")
        try:
            re.compile(match[2] or ".*")
        except re.error as error:
            raise self.fail(node, f"on-failure: {match[2]!r} is no regular expression ({error})",
                            "write `RETRY-3` to retry whatever the error is") from None
        return OnFailure("RETRY", tries, match[2] or ".*")

    def runtimes(self, node: yaml.Node | None) -> dict[str, str]:
        wanted = self.variables(node)
        for name, version in wanted.items():
            if name not in RUNTIMES:
                raise self.fail(node, f"Unknown runtime named '{name}'. This build image has the following runtimes: "
                                f"{', '.join(RUNTIMES)}", f"delete the line `{name}: …` below runtime-versions")
            value = next(value for key, value in node.value if key.value == name)
            if value.tag == "tag:yaml.org,2002:float" and version.endswith("0") and value.style is None:
                self.warn(value, f'{name}: {version} is the number {float(version)} to YAML: write "{version}"')
        return wanted

    def reports(self, node: yaml.Node | None) -> Iterator[Report]:
        for name, group in self.mapping(node, "reports").items():
            parts = self.mapping(group, f"reports.{name}")
            files = self.texts(parts.get("files"), "files")
            if not files:
                raise self.fail(group, f"reports.{name} has no files", "write `files:` with a list of patterns")
            yield Report(name, files,
                         self.text(parts["base-directory"], "base-directory") if "base-directory" in parts else ".",
                         self.text(parts["file-format"], "file-format").upper() if "file-format" in parts
                         else "JUNITXML")

    def pass_over(self, top: dict[str, yaml.Node], env: dict[str, yaml.Node]) -> None:
        """Warn of each key that CodeBuild honours and a laptop does not."""
        for key, nodes, text in (
            ("run-as", top, "run-as: on a laptop all commands run as you"),
            ("proxy", top, "proxy: only for builds behind a proxy server, passed over here"),
            ("batch", top, "batch: read only by batch builds, and this is none"),
            ("cache", top, "cache: passed over, each build here starts clean"),
            ("artifacts", top, "artifacts: the project in template.yml is NO_ARTIFACTS, so nothing is uploaded"),
            ("git-credential-helper", env, "git-credential-helper: passed over, a build here has no git credentials"),
        ):
            if key in nodes:
                self.warn(nodes[key], text)

    def mapping(self, node: yaml.Node | None, name: str) -> dict[str, yaml.Node]:
        if node is None or is_null(node):
            return {}
        if not isinstance(node, yaml.MappingNode):
            raise self.fail(node, "wrong number of container tags, expected 1",
                            f"{name} holds keys with values: write `key: value` below it, indented by two spaces")
        return {key.value: value for key, value in node.value if isinstance(key, yaml.ScalarNode)}

    def variables(self, node: yaml.Node | None) -> dict[str, str]:
        found = {}
        for name, value in self.mapping(node, "this").items():
            found[name] = self.text(value, name)
            if name.startswith("CODEBUILD_"):
                raise self.fail(value, f"the variable {name} is reserved: names with CODEBUILD_ belong to CodeBuild",
                                "choose another name")
            if "\0" in found[name] or "=" in name or not name:
                raise self.fail(value, f"{name!r} cannot be a variable", "use letters, digits and _ for the name")
        return found

    def texts(self, node: yaml.Node | None, name: str) -> tuple[str, ...]:
        if node is None or is_null(node):
            return ()
        items = node.value if isinstance(node, yaml.SequenceNode) else [node]
        return tuple(self.text(item, name) for item in items)

    def text(self, node: yaml.Node, name: str) -> str:
        """Return a scalar as it is written: 3.10 stays 3.10."""
        if not isinstance(node, yaml.ScalarNode):
            raise self.fail(node, "wrong number of container tags, expected 1", f"{name} takes one plain value")
        return "" if is_null(node) else str(node.value)


def is_null(node: yaml.Node) -> bool:
    """Tell whether a node stands for nothing (`key:`, `~` or `null`)."""
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"
