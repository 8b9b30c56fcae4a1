"""The command `check`, and what a push says of a buildspec that cannot be read."""

import json
import shutil

import pytest


def test_error_with_line_and_hint_is_what_a_push_ends_with(quick):
    before = quick.live()
    quick.write(
        "buildspec.yml", "version: 0.2\nphases:\n  build:\n    commands:\n      - echo done: yes\n"
    )
    quick.commit("A colon too many")
    error, hint, _, last = quick.push()[-4:]  # before the last: where to look
    assert error == (
        "[sandbox] error: buildspec, line 5, column 9: "
        "Expected Commands[0] to be of string type: "
        "found subkeys instead at line 5, value of the key tag on line 4 might be empty"
    )
    assert hint.startswith(
        "[sandbox] hint: a colon with a space after it makes a key: put the whole command in single"
    )
    assert last.endswith(
        f"FAILED in DOWNLOAD_SOURCE: nothing was released, version {before} is still live"
    )
    quick.say("no colon")
    quick.push()


def test_check_needs_no_account_and_counts_as_the_log_does(quick):
    state = quick.clone / ".sandbox" / "account" / "ministack.json"
    state.rename(state.with_name("aside"))
    try:
        said = quick.sandbox("check").stdout
        answer = json.loads(quick.sandbox("check", "--json").stdout)
    finally:
        state.with_name("aside").rename(state)
    assert said.splitlines() == [
        "buildspec.yml: a buildspec of version 0.2",
        "Phases found in YAML: 3",
        " PRE_BUILD: 1 commands",
        " BUILD: 1 commands",
        " POST_BUILD: 2 commands",
        "CodeBuild reads it: yes",
        "This laptop runs it: yes",
    ]
    assert answer == {
        "valid": True,
        "runs_here": True,
        "reasons": [],
        "version": "0.2",
        "warnings": [],
        "phases": {
            "PRE_BUILD": {"commands": 1, "finally": 0},
            "BUILD": {"commands": 1, "finally": 0},
            "POST_BUILD": {"commands": 2, "finally": 0},
        },
    }


def test_check_names_place_and_hint_of_an_error(quick, tmp_path):
    (tmp_path / "bad.yml").write_text("version: 0.2\nphases:\n  prebuild:\n    commands: [x]\n")
    said = quick.sandbox("check", tmp_path / "bad.yml", code=2)
    assert (said.stdout, said.stderr) == (
        "CodeBuild reads it: no\nThis laptop runs it: no\n",
        (
            "error: bad.yml, line 3, column 3: Invalid buildspec phase name: prebuild. "
            "Expecting: build,install,post_build,pre_build\nhint: write `pre_build:`\n"
        ),
    )
    answer = json.loads(quick.sandbox("check", "--json", tmp_path / "bad.yml", code=2).stdout)
    assert answer == {
        "valid": False,
        "runs_here": False,
        "line": 3,
        "column": 3,
        "hint": "write `pre_build:`",
        "error": "Invalid buildspec phase name: prebuild. "
        "Expecting: build,install,post_build,pre_build",
    }


def test_check_tells_what_the_laptop_passes_over(quick, tmp_path):
    (tmp_path / "some.yml").write_text(
        "version: 0.2\nphases:\n  install:\n    run-as: x\n    runtime-versions: {python: 2.7}\n"
        "    finally: [a]\n"
    )
    said = quick.sandbox("check", tmp_path / "some.yml").stdout
    assert " INSTALL: 0 commands, and 1 in finally\n" in said
    assert "note, line 4: run-as: on a laptop all commands run as you\n" in said
    assert "note: runtime python 2.7: builds on this laptop run on its Python" in said
    answer = json.loads(quick.sandbox("check", "--json", tmp_path / "some.yml").stdout)
    assert [item["line"] for item in answer["warnings"]] == [4, None]


ELSEWHERE = {
    "ruby": ("phases: {install: {runtime-versions: {ruby: 3.2}, commands: [gem list]}}", None),
    "powershell": (
        "env: {shell: powershell.exe}\nphases: {build: {commands: [Get-ChildItem]}}",
        2,
    ),
    "batch": ("batch: {build-list: [{identifier: one, buildspec: one.yml}]}", 2),
}


@pytest.mark.parametrize("text, line", ELSEWHERE.values(), ids=ELSEWHERE)
def test_check_tells_what_codebuild_reads_from_what_runs_here(quick, tmp_path, text, line):
    """A laptop with Ruby would run it: here none is on the path."""
    (tmp_path / "some.yml").write_text(f"version: 0.2\n{text}\n")
    for name in ("git", "sh", "dash"):
        if path := shutil.which(name):
            (tmp_path / name).symlink_to(path)
    env = quick.env | {"PATH": str(tmp_path)}
    said = quick.sandbox("check", tmp_path / "some.yml", env=env)
    answer = json.loads(quick.sandbox("check", "--json", tmp_path / "some.yml", env=env).stdout)
    assert said.stdout.endswith("CodeBuild reads it: yes\nThis laptop runs it: no\n")
    [reason] = answer["reasons"]
    assert (answer["valid"], answer["runs_here"], reason["line"]) == (True, False, line)
    where = f", line {line}" if line else ""
    assert f"not here{where}: {reason['text']}\nhint: {reason['hint']}\n" in said.stdout


def test_buildspec_of_which_nothing_would_run_is_told_loudly(quick, tmp_path):
    (tmp_path / "some.yml").write_text("version: 0.2\nphases: {build: {commands: }}\n")
    said = quick.sandbox("check", tmp_path / "some.yml").stdout
    assert "note, line 2: nothing would run: no phase has a command\n" in said
    assert "\nCodeBuild reads it: yes, and it DOES NOTHING\n" in said
    answer = json.loads(quick.sandbox("check", "--json", tmp_path / "some.yml").stdout)
    assert answer["valid"] and answer["warnings"][0]["text"].startswith("nothing would run")


def test_command_that_the_shell_cannot_read_is_noted(quick, tmp_path):
    (tmp_path / "some.yml").write_text(
        "version: 0.2\nphases:\n  build:\n    commands:\n      - echo 'a\n      - echo b\n"
    )
    answer = json.loads(quick.sandbox("check", "--json", tmp_path / "some.yml").stdout)
    [note] = answer["warnings"]
    assert note["line"] == 5 and note["text"].startswith("sh cannot read this command: ")


@pytest.mark.parametrize("name", ["missing.yml", "."])
def test_check_of_no_file_is_told(quick, name):
    said = quick.sandbox("check", name, code=2).stderr
    assert said.startswith(f"error: {name} cannot be read: ") and "\nhint: " in said
