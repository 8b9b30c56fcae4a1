"""The reader of a buildspec: from text to dataclasses, with CodeBuild's own words for errors.

Source of the rules: https://docs.aws.amazon.com/codebuild/latest/userguide/build-spec-ref.html
"""

from __future__ import annotations

import re
from dataclasses import replace

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
from sandbox.codebuild.part import TAGS, Part
from sandbox.codebuild.yaml_nodes import COLON, QUOTE_IT, compose

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
        return buildspec(Part(Buildspec(lines=lines, notes=[*odd]), "the file", root, None))
    except BuildspecError as error:
        error.hint = odd[0][1] if odd else error.hint
        raise


def buildspec(top: Part) -> Buildspec:
    if not top:
        hint = "write `version: 0.2` and `phases:` with your commands"
        raise top.fault("the file is empty", hint)
    version = top["version"].text()
    if version not in ("0.1", "0.2"):
        found = f"version is {version!r}" if version else "version is missing"
        known = f"{found}; CodeBuild knows 0.1 and 0.2"
        raise top["version"].fault(known, "write `version: 0.2`")
    legacy = ["environment_variables"] if version == "0.1" else []
    top.pass_over([*KEYS, *legacy])
    env = top["env"]
    env.pass_over(ENV_KEYS, "env")
    kinds = [("PLAINTEXT", top[key]["plaintext"]) for key in legacy]
    kinds += [(kind, env[key]) for key, kind in KINDS.items()]
    phases = {key.upper(): phase(key, part) for key, part in top["phases"].parts().items()}
    if not phases and not top["batch"]:
        raise top["phases"].fault(
            "phases is missing or empty",
            "write `phases:` with at least one of install, pre_build, build and post_build",
        )
    if not phases:
        said = "a batch without phases: a push starts one build, no batch"
        hint = "give each build of the batch a buildspec with phases"
        top["batch"].hinder(said, hint)
    elif not top.spec.scripts:
        top["phases"].tell("nothing would run: no phase has a command")
    top["cache"]["paths"].texts()
    spec = replace(
        top.spec,
        version=version,
        phases={name: phases[name] for name in PHASES if name in phases},
        shell=shell(env["shell"]),
        variables=tuple(
            {"type": kind, "name": name, "value": value}
            for kind, part in kinds
            for name, value in variables(part).items()
        ),
        exported_variables=names(env["exported-variables"]),
        runtimes=runtimes(top["phases"]["install"]["runtime-versions"]),
        reports=reports.groups(top["reports"]),
        artifacts=artifacts.files(top["artifacts"]) if "artifacts" in top.parts() else None,
        has_cache="cache" in top.parts(),
    )
    spec.notes.sort()
    return spec


def shell(part: Part) -> str:
    name, hint = part.text(), "write `shell: bash`, or leave the line out for sh"
    if name in WINDOWS_SHELLS:
        said = f"env.shell is {name!r}; this laptop runs sh and bash"
        part.hinder(said, hint)
    elif name not in SHELLS:
        known = "bash, /bin/sh, powershell.exe and cmd.exe"
        raise part.fault(f"env.shell is {name!r}; CodeBuild knows {known}", hint)
    return name


def phase(key: str, part: Part) -> Phase:
    name = key.upper()
    if name not in PHASES or key != key.lower():
        near = re.sub("^(pre|post)[- ]?build$", r"\1_build", key.lower())
        hint = "move its commands below one of install, pre_build, build and post_build"
        raise part.fault(
            f"Invalid buildspec phase name: {key}. "
            f"Expecting: {','.join(sorted(map(str.lower, PHASES)))}",
            f"write `{near}:`" if near.upper() in PHASES else hint,
            is_key=True,
        )
    part.pass_over([*PHASE_KEYS, *(["runtime-versions"] if name == "INSTALL" else [])], name)
    ours, last = commands(part["commands"]), commands(part["finally"])
    return Phase(ours, last, on_failure(part["on-failure"]))


def commands(part: Part) -> tuple[str, ...]:
    if isinstance(part.node, yaml.MappingNode):
        hint = "write the commands as a list: each on a line of its own that starts with `- `"
        raise part.fault(TAGS, hint)
    for index, item in enumerate(part.items()):
        if not isinstance(item.node, yaml.ScalarNode):
            kind, hint = "a list", QUOTE_IT
            if isinstance(item.node, yaml.MappingNode):
                kind, hint = "subkeys", COLON
            if not part.holds(item):  # it stands elsewhere, under an anchor
                item = part
                hint = "an alias puts no list into a list: write it behind `commands:`, alone"
            raise item.fault(
                f"Expected Commands[{index}] to be of string type: found {kind} instead at "
                f"line {item.line}, value of the key tag on line {max(item.line - 1, 0)} "
                "might be empty",
                hint,
            )
    part.texts()
    found = [(item.line, item.text()) for item in part.items() if item]
    part.spec.scripts.extend(found)
    return tuple(command for _, command in found)


def on_failure(part: Part) -> OnFailure:
    word = part.text()
    if not word or word.upper() in ("ABORT", "CONTINUE"):
        return OnFailure(word.upper())
    match = RETRY.fullmatch(word)
    tries = int((match[1] or "3").lstrip("0")[:4] or 0) if match else 0
    if not match or tries > 100:
        raise part.fault(
            f"on-failure is {word!r}; CodeBuild knows ABORT, CONTINUE, RETRY, RETRY-<count>, "
            "RETRY-<regex> and RETRY-<count>-<regex>, with a count of 0 to 100",
            "write `on-failure: ABORT`, or leave the line out",
        )
    pattern = match[2] or ".*"
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        # CodeBuild's own kind of regular expression is not documented.
        said = f"on-failure: {pattern!r} is no regular expression to Python ({error})"
        hint = "write `RETRY-3` to retry whatever the error is"
        part.hinder(said, hint)
    return OnFailure("RETRY", tries, pattern)


def runtimes(part: Part) -> dict[str, str]:
    wanted = variables(part)
    for name, version in wanted.items():
        if name not in RUNTIMES:
            raise part.fault(
                f"Unknown runtime named '{name}'. This build image has the following runtimes: "
                f"{', '.join(RUNTIMES)}",
                f"delete the line `{name}: …` below runtime-versions",
            )
        is_number = part[name].tag == "tag:yaml.org,2002:float" and version.endswith("0")
        if is_number and version != str(float(version)):
            said = f'{version} is the number {float(version)} to YAML: "{version}" is safe'
            part[name].tell(f"{name}: {said}")
    return wanted


def variables(part: Part) -> dict[str, str]:
    found = {}
    for name, value in part.parts().items():
        found[name] = text = value.text()
        is_half = any(text.startswith(mark) != text.endswith(mark) for mark in "'\"")
        if is_half and not getattr(value.node, "style", None):
            value.tell(f"{text}: the quotation mark has no partner, so it is part of the value")
        if name.startswith("CODEBUILD_"):
            said = "names with CODEBUILD_ belong to CodeBuild, whose own value wins"
            value.tell(f"{name}: {said}")
        if "\0" in text or "=" in name or not name:
            hint = "use letters, digits and _ for the name"
            raise value.fault(f"{name!r} cannot be a variable", hint)
    return found


def names(part: Part) -> tuple[str, ...]:
    found = part.texts()
    for name in found:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            said = f"exported-variables: {name!r} is no name of a variable"
            raise part.fault(said, "write the name alone, without $ and without a value")
    return found
