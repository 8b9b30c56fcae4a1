"""A buildspec, run as CodeBuild runs it: the cases of cases.yml, then any text and any output."""

import json
import re
import subprocess
import unicodedata
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sandbox import build
from sandbox.buildspec import PHASES, Buildspec, read
from sandbox.document import BuildspecError

CASES = yaml.safe_load((Path(__file__).parent / "cases.yml").read_text(encoding="utf-8"))

# Runs in a student's sandbox, as its worker would: one build for each case, whatever came before.
RUN = """
import dataclasses, json, sys
from sandbox import account, build, environment, fork
build.start_worker = lambda *_: None
environment.take = lambda *_: None  # no case needs pip
fork.commit_of = lambda _: None  # what main is at by now does not matter here
project, changes = account.project, {}
account.project = lambda: dataclasses.replace(project(), **changes)
for case in json.load(sys.stdin):
    changes.clear()
    changes.update(case["project"])
    push = case["ref"] and fork.Push(fork.NOTHING, case["commit"], case["ref"])
    item = build.submit(case["commit"], case["commit"] if push else "main", "GitHub-Hookshot/sandbox" if push else
                        "root", push)
    build.work()
    print(json.dumps([item.number, item.id, case["commit"], build.load(item.number).status]))
"""


class Result:
    """A build's record and its log, with a name for each part that differs from run to run."""

    def __init__(self, someone, number, commit):
        folder = someone.clone / ".sandbox" / "builds" / str(number)
        self.record = json.loads((folder / "build.json").read_text())
        self.raw = (folder / "log").read_bytes()
        text = self.raw.decode(errors="replace")
        text = re.sub(
            r"^\[Container\] \d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{6} ",
            "[Container] ",
            text,
            flags=re.MULTILINE,
        )
        work = someone.clone / ".sandbox" / "codebuild"
        text = re.sub(
            re.escape(str(work)) + r"/codebuild/output/src\d+/src/github.com/you/hello-user",
            "SRC",
            text,
        )
        text = (
            text.replace(str(work), "WORK")
            .replace(self.record["id"], "ID")
            .replace(commit, "COMMIT")
        )
        text = re.sub(r"(?m)^CODEBUILD_BUILD_NUMBER=\d+$", "CODEBUILD_BUILD_NUMBER=NUMBER", text)
        self.text = re.sub(
            r"(?m)^CODEBUILD_START_TIME=\d{13}$", "CODEBUILD_START_TIME=MILLISECONDS", text
        )
        where = f" in {self.record['phase']}" if self.record["phase"] else ""
        self.status = self.record["status"] + where


def commits_of(someone, buildspecs):
    """Commit each buildspec, or none, on a ref of its own in the fork; return the commits."""
    stream = []
    for number, text in enumerate(buildspecs):
        stream.append(
            f"commit refs/cases/{number}\ncommitter A Student <student@example.com> 1700000000 +0000\n"
            "data 4\ncase\ndeleteall\n".encode()
        )
        name, content = ("README.md", b"") if text is None else ("buildspec.yml", text.encode())
        stream.append(f"M 100644 inline {name}\ndata {len(content)}\n".encode() + content + b"\n")
    fork = f"--git-dir={someone.clone}/.sandbox/fork.git"
    subprocess.run(
        ["git", fork, "fast-import", "--quiet", "--force"],
        input=b"".join(stream),
        check=True,
        env=someone.env,
    )
    found = subprocess.run(
        ["git", fork, "for-each-ref", "--format=%(refname) %(objectname)", "refs/cases"],
        check=True,
        capture_output=True,
        text=True,
        env=someone.env,
    ).stdout.split()
    subprocess.run(
        ["git", fork, "update-ref", "--stdin"],
        check=True,
        text=True,
        env=someone.env,
        input="".join(f"delete {name}\n" for name in found[::2]),
    )
    return [
        dict(zip(found[::2], found[1::2], strict=True))[f"refs/cases/{number}"]
        for number in range(len(buildspecs))
    ]


def run_all(someone, cases):
    """Run a build for each case and return their results."""
    commits = commits_of(someone, [case["buildspec"] for case in cases])
    asked = [
        {"commit": commit, "project": case.get("project", {}), "ref": case.get("ref")}
        for case, commit in zip(cases, commits, strict=True)
    ]
    said = subprocess.run(
        [someone.clone / ".sandbox/venv/bin/python", "-c", RUN],
        cwd=someone.clone,
        env=someone.env,
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert said.returncode == 0, said.stderr[-3000:]
    lines = [json.loads(line) for line in said.stdout.splitlines()]
    return [Result(someone, number, commit) for number, _, commit, _ in lines]


@pytest.fixture(scope="module")
def results(quick):
    """The result of each case; what is live must not have changed by any of them."""
    before, old = quick.live(), quick.message()
    found = run_all(quick, CASES)
    assert (quick.live(), quick.message()) == (before, old)
    return found


def lines_like(text):
    """Return a pattern for whole lines: … is any text, ␠ a blank at a line's end."""
    return r"^" + re.escape(text.rstrip("\n").replace("␠", " ")).replace("…", ".*") + r"$"


@pytest.mark.parametrize(
    "number", range(len(CASES)), ids=[case["about"].replace(" ", "-") for case in CASES]
)
def test_case_is_as_on_codebuild(results, number):
    case, found = CASES[number], results[number]
    assert found.status == case["status"], found.text[-2000:]
    at = 0
    for expected in case.get("log", []):
        match = re.compile(lines_like(expected), re.MULTILINE).search(found.text, at)
        assert match, f"{expected!r} is not after {found.text[:at][-80:]!r} in\n{found.text}"
        at = match.end()
    for text in case.get("never", []):
        assert text not in found.text
    notes = [
        line for line in found.text.splitlines() if line.startswith("[sandbox] buildspec.yml, line")
    ]
    wanted = case.get("warn", [])
    again = [
        note.replace("buildspec.yml", "buildspec", 1)
        for note in notes
        if found.status.startswith("FAILED in BUILD")
    ]
    assert [
        line for line in found.text.splitlines() if line.startswith("[sandbox] buildspec, line")
    ] == again
    assert len(notes) == len(wanted), notes
    for note, want in zip(notes, wanted, strict=True):
        assert note.startswith(f"[sandbox] buildspec.yml, {want}")
    if "line" in case:
        assert f"buildspec, line {case['line']}, column " in found.record["reason"]
    if "hint" in case:
        assert found.record["hint"] == case["hint"]


@pytest.fixture
def secrets(quick):
    """A parameter and a secret, and a build role that may read them."""
    roles, name = quick.client("iam"), "secrets"
    [role] = [
        item["RoleName"] for item in roles.list_roles()["Roles"] if "BuildRole" in item["RoleName"]
    ]
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["ssm:GetParameters", "secretsmanager:GetSecretValue"],
                "Resource": "*",
            }
        ],
    }
    roles.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(policy))
    quick.client("ssm").put_parameter(
        Name="/app/key", Type="SecureString", Value="parameter-1234", Overwrite=True
    )
    quick.client("secretsmanager").create_secret(
        Name="app", SecretString=json.dumps({"user": "u", "word": "secret-5678"})
    )
    yield
    roles.delete_role_policy(RoleName=role, PolicyName=name)
    quick.client("ssm").delete_parameter(Name="/app/key")
    quick.client("secretsmanager").delete_secret(SecretId="app", ForceDeleteWithoutRecovery=True)


SECRETS = """\
version: 0.2
env:
  parameter-store: {KEY: /app/key}
  secrets-manager: {WORD: "app:word", ALL: app}
  exported-variables: [KEY, WORD]
phases:
  build:
    commands:
      - test "$KEY/$WORD" = parameter-1234/secret-5678 && echo right
      - echo "$KEY and $WORD and $ALL"
      - printf 'parame'; sleep 0.2; echo 'ter-1234'
      - printf %s "$WORD" | base64
"""


def test_secrets_reach_the_build_and_not_the_log(quick, secrets):
    [found] = run_all(quick, [{"buildspec": SECRETS}])
    assert found.status == "SUCCEEDED", found.text
    assert "\nright\n" in found.text
    assert "\n*** and *** and ***\n" in found.text and "\n***\n" in found.text
    assert "parameter-1234" not in found.text and "secret-5678" not in found.text.replace(
        "/secret-5678", ""
    )
    assert "c2VjcmV0LTU2Nzg=" in found.text  # masked by exact value only, as on AWS
    assert found.record["exported"] == {}


def test_secret_of_the_project_is_not_exported(quick, secrets):
    projects = quick.client("codebuild")
    before = projects.batch_get_projects(names=["hello_user"])["projects"][0]["environment"]
    variables = [
        {"name": "KEY", "type": "PARAMETER_STORE", "value": "/app/key"},
        {"name": "PLAIN", "value": "seen"},
    ]
    projects.update_project(
        name="hello_user", environment=before | {"environmentVariables": variables}
    )
    try:
        [found] = run_all(
            quick,
            [
                {
                    "buildspec": "version: 0.2\nenv: {exported-variables: [KEY, PLAIN]}\nphases:\n  build:\n"
                    '    commands: [test "$KEY" = parameter-1234]\n'
                }
            ],
        )
    finally:
        projects.update_project(name="hello_user", environment=before)
    assert found.status == "SUCCEEDED", found.text
    assert found.record["exported"] == {"PLAIN": "seen"}


@pytest.mark.parametrize(
    "env, message",
    [
        ("parameter-store: {KEY: /app/other}", "Parameter does not exist"),
        ("secrets-manager: {WORD: other}", "ResourceNotFoundException"),
        ("secrets-manager: {WORD: 'app:other'}", "other"),
    ],
)
def test_secret_that_is_missing_fails_the_download(quick, secrets, env, message):
    text = f"version: 0.2\nenv:\n  {env}\nphases: {{build: {{commands: [echo ran]}}}}\n"
    [found] = run_all(quick, [{"buildspec": text}])
    assert found.status == "FAILED in DOWNLOAD_SOURCE"
    assert message in found.record["reason"] and found.record["hint"]


def test_error_with_line_and_hint_is_what_a_push_ends_with(quick):
    before = quick.live()
    quick.write(
        "buildspec.yml", "version: 0.2\nphases:\n  build:\n    commands:\n      - echo done: yes\n"
    )
    quick.commit("A colon too many")
    *_, error, hint, last = quick.push()
    assert error == (
        "[sandbox] error: buildspec, line 5, column 9: Expected Commands[0] to be of string type: found subkeys "
        "instead at line 5, value of the key tag on line 4 might be empty"
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
    assert said.splitlines()[:5] == [
        "buildspec.yml: a buildspec of version 0.2",
        "Phases found in YAML: 3",
        " PRE_BUILD: 1 commands",
        " BUILD: 2 commands",
        " POST_BUILD: 2 commands",
    ]
    assert answer == {
        "valid": True,
        "version": "0.2",
        "warnings": [],
        "phases": {
            "PRE_BUILD": {"commands": 1, "finally": 0},
            "BUILD": {"commands": 2, "finally": 0},
            "POST_BUILD": {"commands": 2, "finally": 0},
        },
    }


def test_check_names_place_and_hint_of_an_error(quick, tmp_path):
    (tmp_path / "bad.yml").write_text("version: 0.2\nphases:\n  prebuild:\n    commands: [x]\n")
    said = quick.sandbox("check", tmp_path / "bad.yml", code=2)
    assert (said.stdout, said.stderr) == (
        "",
        (
            "error: bad.yml, line 3, column 3: Invalid buildspec phase name: prebuild. Expecting: build,install,post_build,"
            "pre_build\nhint: write `pre_build:`\n"
        ),
    )
    answer = json.loads(quick.sandbox("check", "--json", tmp_path / "bad.yml", code=2).stdout)
    assert answer == {
        "valid": False,
        "line": 3,
        "column": 3,
        "hint": "write `pre_build:`",
        "error": "Invalid buildspec phase name: prebuild. Expecting: build,install,post_build,pre_build",
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


@pytest.mark.parametrize("name", ["missing.yml", "."])
def test_check_of_no_file_is_told(quick, name):
    said = quick.sandbox("check", name, code=2).stderr
    assert said.startswith(f"error: {name} cannot be read: ") and "\nhint: " in said


WORDS = st.sampled_from(
    [
        "version",
        "phases",
        "build",
        "pre_build",
        "env",
        "variables",
        "commands",
        "finally",
        "on-failure",
        "RETRY-1-(",
        "0.2",
        "- x",
        "&a",
        "*a",
        "<<",
        "|",
        ">",
        "{",
        "}",
        "[",
        "]",
        ":",
        ": ",
        "\n",
        "\n  ",
        "\t",
        "'",
        '"',
        "#",
        "!!binary",
        "!x",
        "---",
        "\0",
        "\ufeff",
        "null",
        "~",
        "2024-01-01",
        "@",
        "%",
    ]
)
TEXTS = st.one_of(
    st.binary(max_size=60),
    st.text(max_size=60).map(lambda text: text.encode(errors="surrogatepass")),
    st.lists(WORDS, max_size=25).map(lambda words: "".join(words).encode()),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(WORDS, inner, max_size=4)),
    max_leaves=12,
)
SPECS = st.builds(
    lambda phases, env: yaml.safe_dump({"version": 0.2, "phases": phases, "env": env}).encode(),
    st.one_of(VALUES, st.dictionaries(st.sampled_from([*map(str.lower, PHASES), "x"]), VALUES)),
    VALUES,
)


def quick_or_long(request, quick, long):
    return settings(
        max_examples=long if request.config.getoption("--long") else quick,
        deadline=None,
        database=None,
        derandomize=not request.config.getoption("--long"),
        suppress_health_check=list(HealthCheck),
    )


def test_any_text_is_a_buildspec_or_a_clear_error(request):
    @quick_or_long(request, 400, 20_000)
    @given(st.one_of(TEXTS, SPECS))
    def reads(content):
        try:
            spec = read(content)
        except BuildspecError as error:
            assert error.message and error.hint and error.line >= 1 and error.column >= 1
        else:
            assert isinstance(spec, Buildspec) and tuple(spec.phases) == PHASES
            assert all(
                isinstance(item, str)
                for phase in spec.phases.values()
                for item in phase.commands + phase.finally_commands
            )

    reads()


@pytest.mark.parametrize(
    "text, message",
    [
        (
            "a0: &a0 {x: y}\n"
            + "".join(
                f"a{n}: &a{n}\n  <<: [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 40)
            ),
            "version is missing",
        ),
        ("version: " + "[" * 100_000, "nesting depth"),
        ("version: " + "{a: " * 900 + "x" + "}" * 900, "."),
    ],
    ids=["merges-of-merges", "deeper-than-yaml-goes", "deep"],
)
def test_file_that_grows_without_end_is_refused(text, message):
    with pytest.raises(BuildspecError, match=message):
        read(text.encode())


def test_any_bytes_that_a_command_prints_are_in_the_log_and_forge_nothing(quick, request):
    forged = b"[sandbox] BUILD 1 SUCCEEDED: version 99 is live\n[Container] 2026/01/01 00:00:00.000000 Phase complete: "
    pieces = st.sampled_from(
        [
            forged,
            b"\x1b[2J",
            b"\r",
            b"\n",
            b"\0",
            b"\xff",
            b"\xc2",
            "\u202e".encode(),
            "\u1a8a\xa0".encode(),
            b"a" * 5000,
        ]
    )

    @quick_or_long(request, 1, 20)
    @given(
        st.lists(
            st.lists(st.one_of(pieces, st.binary(max_size=40)), max_size=6).map(b"".join),
            min_size=8,
            max_size=8,
        )
    )
    def prints(outputs):
        octal = ["".join(f"\\{byte:03o}" for byte in output) for output in outputs]
        found = run_all(
            quick,
            [
                {
                    "buildspec": json.dumps(
                        {
                            "version": "0.2",
                            "phases": {
                                "build": {
                                    "commands": [
                                        f"printf '%b' '{text}'".replace("\\", "\\0"),
                                        "exit 1",
                                    ]
                                }
                            },
                        }
                    )
                }
                for text in octal
            ],
        )
        for output, result in zip(outputs, found, strict=True):
            printed = result.raw.split(
                b"\n", result.raw[: result.raw.index(b"Running command")].count(b"\n") + 1
            )[-1]
            assert printed.startswith(output)
            assert result.status == "FAILED in BUILD"
            shown = build.harmless(result.raw.decode(errors="replace"))
            assert not [
                char
                for char in shown
                if char not in "\n\t"
                and (
                    unicodedata.category(char) in ("Cc", "Zl", "Zp")
                    or unicodedata.bidirectional(char)
                    in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
                )
            ]

    prints()
