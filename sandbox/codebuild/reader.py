"""The reader of a buildspec: from text to dataclasses, with CodeBuild's own words for errors.

Source of the rules: https://docs.aws.amazon.com/codebuild/latest/userguide/build-spec-ref.html
"""

from __future__ import annotations

import re

import yaml

from sandbox.codebuild import artifacts, reports
from sandbox.codebuild.buildspec import (
    PHASES,
    SHELLS,
    WINDOWS_SHELLS,
    Buildspec,
    BuildspecError,
    OnFailure,
    Phase,
)
from sandbox.codebuild.notes import FILE, Notes, of_value
from sandbox.codebuild.yaml_nodes import (
    COLON,
    QUOTE_IT,
    TAGS,
    compose,
    fault,
    is_null,
    items,
    key_of,
    line_of,
    mapping,
    text,
)

RUNTIMES = ("dotnet", "golang", "java", "nodejs", "php", "python", "ruby")
KEYS = ("version", "run-as", "env", "proxy", "batch", "phases", "reports", "artifacts", "cache")
KINDS = {
    "variables": "PLAINTEXT",
    "parameter-store": "PARAMETER_STORE",
    "secrets-manager": "SECRETS_MANAGER",
}
ENV_KEYS = ("shell", *KINDS, "exported-variables", "git-credential-helper")
PHASE_KEYS = ("run-as", "on-failure", "commands", "finally")
RETRY = re.compile(r"RETRY(?:-([0-9]+))?(?:-(.+))?", re.DOTALL | re.IGNORECASE)
# An editor shows these as blanks; YAML takes them for letters.
ODD_BLANK = re.compile("[ -]*([\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000])")


def read(content: bytes) -> Buildspec:
    """Read a buildspec's bytes; raises BuildspecError with the place and a hint."""
    odd = [
        (number, f"line {number} is indented with U+{ord(found[1]):04X}: indent with spaces")
        for number, line in enumerate(content.decode(errors="replace").splitlines(), 1)
        if (found := ODD_BLANK.match(line))
    ]
    try:
        root, lines = compose(content)
        return buildspec(Notes(lines, odd), root)
    except BuildspecError as error:
        error.hint = odd[0][1] if odd else error.hint
        raise


def buildspec(notes: Notes, root: yaml.Node | None) -> Buildspec:
    if root is None or is_null(root):
        hint = "write `version: 0.2` and `phases:` with your commands"
        raise fault(None, "the file is empty", hint)
    top = mapping(root, FILE)
    version = text(top.get("version"), "version")
    if version not in ("0.1", "0.2"):
        found = f"version is {version!r}" if version else "version is missing"
        known = f"{found}; CodeBuild knows 0.1 and 0.2"
        raise fault(top.get("version") or root, known, "write `version: 0.2`")
    legacy = ["environment_variables"] if version == "0.1" else []
    notes.keys(root, FILE, [*KEYS, *legacy])
    env = notes.keys(top.get("env"), "env", ENV_KEYS)
    kinds = [("PLAINTEXT", mapping(top.get(key), key).get("plaintext")) for key in legacy]
    kinds += [(kind, env.get(key)) for key, kind in KINDS.items()]
    phases = mapping(top.get("phases"), "phases")
    if not phases:
        if "batch" not in top:
            raise fault(
                top.get("phases") or root,
                "phases is missing or empty",
                "write `phases:` with at least one of install, pre_build, build and post_build",
            )
        notes.hinder(
            top["batch"],
            "a batch without phases: a push starts one build, no batch",
            "give each build of the batch a buildspec with phases",
        )
    read = [phase(notes, key, node) for key, node in phases.items()]
    if phases and not notes.scripts:
        notes.tell(top["phases"], "nothing would run: no phase has a command")
    notes.texts(mapping(top.get("cache"), "cache").get("paths"), "paths")
    places = mapping(top.get("artifacts"), "artifacts")
    return Buildspec(
        version=version,
        phases={name: Phase(name) for name in PHASES} | {found.name: found for found in read},
        shell=shell(notes, env.get("shell")),
        variables=tuple(
            {"type": kind, "name": name, "value": value}
            for kind, node in kinds
            for name, value in variables(notes, node).items()
        ),
        exported_variables=names(notes, env.get("exported-variables")),
        runtimes=runtimes(notes, mapping(phases.get("install"), "install")),
        reports=reports.groups(notes, top.get("reports")),
        artifacts=artifacts.files(notes, places) if "artifacts" in top else None,
        has_cache="cache" in top,
        unknown={name: keys for name, keys in notes.unknown.items() if name != FILE},
        notes=tuple(sorted(notes.told)),
        obstacles=tuple(notes.obstacles),
        scripts=tuple(notes.scripts),
    )


def shell(notes: Notes, node: yaml.Node | None) -> str:
    name, hint = text(node, "shell"), "write `shell: bash`, or leave the line out for sh"
    if node and name in WINDOWS_SHELLS:
        notes.hinder(node, f"env.shell is {name!r}; this laptop runs sh and bash", hint)
    elif name and name not in SHELLS:
        known = "bash, /bin/sh, powershell.exe and cmd.exe"
        raise fault(node, f"env.shell is {name!r}; CodeBuild knows {known}", hint)
    return name


def phase(notes: Notes, key: str, node: yaml.Node) -> Phase:
    name = key.upper()
    if name not in PHASES or key != key.lower():
        near = re.sub("^(pre|post)[- ]?build$", r"\1_build", key.lower())
        hint = "move its commands below one of install, pre_build, build and post_build"
        raise fault(
            key_of(node),
            f"Invalid buildspec phase name: {key}. "
            f"Expecting: {','.join(sorted(map(str.lower, PHASES)))}",
            f"write `{near}:`" if near.upper() in PHASES else hint,
        )
    runtimes = ["runtime-versions"] if name == "INSTALL" else []
    parts = notes.keys(node, name, [*PHASE_KEYS, *runtimes])
    return Phase(
        name,
        True,
        commands(notes, parts.get("commands")),
        commands(notes, parts.get("finally")),
        on_failure(notes, parts.get("on-failure")),
    )


def commands(notes: Notes, node: yaml.Node | None) -> tuple[str, ...]:
    if isinstance(node, yaml.MappingNode):
        hint = "write the commands as a list: each on a line of its own that starts with `- `"
        raise fault(node, TAGS, hint)
    for index, item in enumerate(items(node)):
        if node and not isinstance(item, yaml.ScalarNode):
            kind = "subkeys" if isinstance(item, yaml.MappingNode) else "a list"
            hint = COLON if kind == "subkeys" else QUOTE_IT
            if not node.start_mark.index <= item.start_mark.index < node.end_mark.index:
                item = node  # it stands elsewhere, under an anchor
                hint = "an alias puts no list into a list: write it behind `commands:`, alone"
            line = line_of(item)
            raise fault(
                item,
                f"Expected Commands[{index}] to be of string type: found {kind} instead at "
                f"line {line}, value of the key tag on line {max(line - 1, 0)} might be empty",
                hint,
            )
    notes.texts(node, "commands")
    found = [item for item in items(node) if not is_null(item)]
    notes.scripts += [(line_of(item), item.value) for item in found]
    return tuple(item.value for item in found)


def on_failure(notes: Notes, node: yaml.Node | None) -> OnFailure:
    word = text(node, "on-failure")
    if node is None or not word or word.upper() in ("ABORT", "CONTINUE"):
        return OnFailure(word.upper() or None)
    match = RETRY.fullmatch(word)
    tries = int((match[1] or "3").lstrip("0")[:4] or 0) if match else 0
    if not match or tries > 100:
        raise fault(
            node,
            f"on-failure is {word!r}; CodeBuild knows ABORT, CONTINUE, RETRY, RETRY-<count>, "
            "RETRY-<regex> and RETRY-<count>-<regex>, with a count of 0 to 100",
            "write `on-failure: ABORT`, or leave the line out",
        )
    pattern = match[2] or ".*"
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        # CodeBuild's own kind of regular expression is not documented.
        notes.hinder(
            node,
            f"on-failure: {pattern!r} is no regular expression to Python ({error})",
            "write `RETRY-3` to retry whatever the error is",
        )
    return OnFailure("RETRY", tries, pattern)


def runtimes(notes: Notes, install: dict[str, yaml.Node]) -> dict[str, str]:
    node = install.get("runtime-versions")
    wanted = variables(notes, node)
    for name, value in mapping(node, "runtime-versions").items():
        if name not in RUNTIMES:
            raise fault(
                node,
                f"Unknown runtime named '{name}'. This build image has the following runtimes: "
                f"{', '.join(RUNTIMES)}",
                f"delete the line `{name}: …` below runtime-versions",
            )
        version = wanted[name]
        if value.tag == "tag:yaml.org,2002:float" and version.endswith("0"):
            number = str(float(version))
            if version != number:
                said = f'{version} is the number {number} to YAML: "{version}" is safe'
                notes.tell(value, f"{name}: {said}")
    return wanted


def variables(notes: Notes, node: yaml.Node | None) -> dict[str, str]:
    found = {}
    for name, value in mapping(node, "this").items():
        found[name] = text(value, name)
        if said := of_value(value):
            notes.tell(value, said)
        if name.startswith("CODEBUILD_"):
            said = "names with CODEBUILD_ belong to CodeBuild, whose own value wins"
            notes.tell(value, f"{name}: {said}")
        if "\0" in found[name] or "=" in name or not name:
            hint = "use letters, digits and _ for the name"
            raise fault(value, f"{name!r} cannot be a variable", hint)
    return found


def names(notes: Notes, node: yaml.Node | None) -> tuple[str, ...]:
    found = notes.texts(node, "exported-variables")
    for name in found:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            said = f"exported-variables: {name!r} is no name of a variable"
            raise fault(node, said, "write the name alone, without $ and without a value")
    return found
