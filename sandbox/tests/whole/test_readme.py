"""README.md, read from top to bottom as a student does: each block is run, or compared."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass

import picture
import pytest
import yaml

from sandbox.cli import COMMANDS, parser
from sandbox.codebuild.reader import PASSED_OVER
from sandbox.dev.benchmark import GOALS
from sandbox.laptop.network import DIRECT
from sandbox.laptop.paths import ROOT

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
LEADS = {"Put this into": "written", "Add one at": "tried"}


@dataclass(frozen=True)
class Block:
    """One fenced block, with the line of prose before it and the chapter that it stands in."""

    kind: str
    text: str
    line: int
    lead: str
    chapter: str


def read_blocks():
    found, lines, lead, chapter, start = [], TEXT.split("\n"), "", "", None
    for number, line in enumerate(lines):
        if start is None and line.startswith("```"):
            start = number
        elif start is not None and line == "```":
            found.append(
                Block(
                    lines[start][3:],
                    "\n".join(lines[start + 1 : number]) + "\n",
                    start + 1,
                    lead,
                    chapter,
                )
            )
            start = None
        elif start is None and line.startswith("## "):
            chapter = line[3:]
        elif start is None and line.strip() and not line.startswith("<"):
            lead = line
    return found


BLOCKS = read_blocks()


def use_of(block):
    return next((use for lead, use in LEADS.items() if lead in block.lead), None)


def test_each_block_is_of_a_kind_that_a_test_covers():
    for block, before in zip(BLOCKS, [None, *BLOCKS], strict=False):
        assert block.kind in ("bash", "bash aws", "text", "python"), block
        assert block.kind != "text" or before.kind in ("bash", "bash aws"), block
        assert block.kind != "python" or use_of(block), block


class Terminal:
    """A shell that stays open from block to block, as a student's does."""

    END = "that-was-the-block"

    def __init__(self, folder, env, start=""):
        self.shell = subprocess.Popen(
            ["bash", "--norc"],
            cwd=folder,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        assert self.type(start or "true")[1] == 0

    def type(self, text):
        """Run a block and return what it said and the exit status of its last command."""
        self.shell.stdin.write(f"{{\n{text}\n}} </dev/null\nprintf '\\n{self.END} %d\\n' $?\n")
        self.shell.stdin.flush()
        said = []
        for line in self.shell.stdout:
            if line.startswith(self.END):
                return "\n".join(part.rstrip() for part in "".join(said).split("\n")).strip(
                    "\n"
                ), int(line.split()[1])
            said.append(line)
        raise AssertionError("the shell has ended:\n" + "".join(said))

    def close(self):
        self.shell.stdin.close()
        self.shell.wait(30)


def matches(expected, said):
    """Tell whether output is as stated: a line … is any lines, … in a line any text."""
    pattern = "".join(
        r"(?:.*\n)*?" if line == "…" else re.escape(line).replace("…", ".*") + r"\n"
        for line in expected.rstrip("\n").split("\n")
    )
    return re.fullmatch(pattern, said + "\n") is not None


# On AWS a build would do this; the emulator knows builds, but runs none. It has no connections to
# GitHub either: there the real command line checks the arguments, up to the moment in which
# it would connect.
ON_AWS = r"""
aws() {
  if [ "$1" = codeconnections ]; then
    AWS_MAX_ATTEMPTS=1 command aws --endpoint-url http://127.0.0.1:9 "$@" 2>&1 |
      grep -q "Could not connect" || return 9
    case "$2" in
      create-connection) echo arn:aws:codeconnections:us-east-1:000000000000:connection/laptop;;
      get-connection) echo AVAILABLE;; esac
  else
    command aws "$@" || return
    case "$2" in start-build)
      (cd "$CLONE" && CODEBUILD_BUILD_SUCCEEDING=1 CODEBUILD_RESOLVED_SOURCE_VERSION=first \
      FUNCTION_NAME=hello_user ALIAS_NAME=live sh -ec "$BUILD") > "$CLONE/../build.log" 2>&1;; esac
  fi
}
"""


@pytest.fixture
def aws_account(tmp_path):
    """An account apart, empty as a new one on AWS: return the environment of a terminal there."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "ministack.app"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=tmp_path,
        env=env
        | {
            "AUTH": "true",
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "DOCKER_HOST": f"unix://{tmp_path}/none",
            "TMPDIR": str(tmp_path),
        },
    )
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(600):
            try:
                DIRECT.open(url + "/_ministack/health", timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        yield {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_PAGER": "",
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }
    finally:
        process.terminate()
        process.wait(30)


def on_github(someone, folder):
    """Let https://github.com/ be a folder, in this student's git."""
    bare = folder / "github" / "your-github-name" / "the-name-of-your-fork.git"
    someone.git("init", "-q", "--bare", bare)
    someone.git(
        "config", "--global", f"url.file://{folder}/github/.insteadOf", "https://github.com/"
    )
    return bare


def test_readme_from_top_to_bottom(newcomer, aws_account, tmp_path, request):
    spec = yaml.safe_load((ROOT / "buildspec.yml").read_text())["phases"]
    bare = on_github(newcomer, tmp_path)
    (newcomer.home / ".curlrc").write_text(
        "silent\n"
    )  # as in a terminal, where curl draws no progress meter
    aws = (
        newcomer.env
        | aws_account
        | {
            "PATH": f"{newcomer.clone}/.sandbox/image/bin:{newcomer.env['PATH']}",
            "CLONE": str(newcomer.clone),
            "BUILD": "\n".join(spec["build"]["commands"][1:] + spec["post_build"]["commands"]),
        }
    )
    laptop = Terminal(newcomer.clone, newcomer.env)
    elsewhere, said, status, pushes = None, "", 0, {}
    try:
        for block in BLOCKS:
            where = f"README.md, line {block.line}:\n{block.text}"
            if block.kind == "python" and use_of(block) == "written":
                name = re.search(r"Put this into `([\w.]+)`", block.lead)[1]
                newcomer.write(name, block.text)
            elif block.kind == "bash":
                said, status = laptop.type(block.text)
                assert status == 0, f"{where}\n{said}"
                assert "Traceback" not in said
                pushes[block.line] = said
            elif block.kind == "bash aws":
                elsewhere = elsewhere or Terminal(newcomer.clone, aws, ON_AWS)
                said, status = elsewhere.type(block.text)
                gone = "does not exist" in said and "describe-stacks" in block.text.splitlines()[-1]
                assert status == 0 or gone, f"{where}\n{said}"
            elif block.kind == "text":
                assert matches(block.text, said), f"{where}\nis not what was said:\n{said}"
        assert (
            subprocess.run(
                ["git", "--git-dir", bare, "log", "-1", "--format=%s", "main"],
                capture_output=True,
                text=True,
            ).stdout
            == "Test what else may come\n"
        )
    finally:
        laptop.close()
        if elsewhere:
            elsewhere.close()
    for name in ("hello_user.py", "test_hello_world.py"):
        assert (newcomer.clone / name).read_text() == (ROOT / name).read_text()
    assert not (newcomer.clone / ".sandbox").exists()
    drawn = {
        "red": next(text for text in pushes.values() if "BUILD 4 FAILED" in text),
        "green": next(text for text in pushes.values() if "BUILD 5 SUCCEEDED" in text),
    }
    for name, text in drawn.items():
        path = ROOT / "images" / f"push-{name}.svg"
        if request.config.getoption("--draw"):
            path.write_text(picture.draw("git push sandbox", text), encoding="utf-8")
        assert path.read_text(encoding="utf-8") == picture.draw("git push sandbox", text), (
            "type `python3 -m sandbox test sandbox/tests/whole/test_readme.py --draw` "
            f"to draw {path.name} again"
        )


def slug(heading):
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_links_inside_resolve_and_images_exist():
    anchors = {slug(line.lstrip("# ")) for line in TEXT.splitlines() if re.match(r"#+ ", line)}
    links = re.findall(r"\]\(([^)\s]+)\)", TEXT)
    assert len(links) > 20
    for link in links:
        if link.startswith("#"):
            assert link[1:] in anchors, link
        elif not link.startswith("https://"):
            assert (ROOT / link).is_file(), link
    shown = {path.name for path in (ROOT / "images").iterdir()}
    assert shown == {link.removeprefix("images/") for link in links if link.startswith("images/")}


def table_below(heading, columns):
    """Return the rows of the first table after a text, as lists of cells."""
    rows = []
    for line in TEXT[TEXT.index(heading) :].splitlines():
        if line.startswith("|"):
            rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        elif rows:
            break
    assert all(len(row) == columns for row in rows), rows
    return rows[2:]


def codes(text):
    return re.findall(r"`([^`]+)`", text)


def test_commands_are_all_listed_and_all_there():
    listed = {codes(first)[0].split()[0] for first, _ in table_below("### Commands", 2)}
    assert listed == set(COMMANDS)


def test_commands_in_the_text_are_taken_by_the_command_line():
    typed = re.findall(r"python3 -m sandbox ([a-z]+[^`\n\"')]*)", TEXT)
    assert len(typed) > 30
    for words in typed:
        name, *rest = [word for word in words.split() if not word.startswith(("&", "\\"))]
        parser().parse_known_args([name, *[word for word in rest if word.startswith("-")]])


def test_what_is_passed_over_is_listed_as_the_log_says_it():
    assert {
        codes(key)[0]: text for key, text in table_below("### What a buildspec may say", 2)
    } == PASSED_OVER


def test_speed_table_has_the_rows_that_the_benchmark_prints():
    rows = table_below("### How fast it is", 4)
    assert [(what, goal) for what, goal, _, _ in rows] == [(goal.name, goal.text) for goal in GOALS]
    for goal, (_, _, reached, met) in zip(GOALS, rows, strict=True):
        assert goal.judged(float(reached)) == (reached, met)  # what is beside a figure follows


def test_promises_name_tests_that_exist():
    source = "".join(path.read_text() for path in (ROOT / "sandbox/tests").rglob("test_*.py"))
    rows = table_below("### Promises", 2)
    assert len(rows) >= 8
    for _, tests in rows:
        for name in codes(tests):
            assert f"\ndef {name}(" in source, name


@pytest.mark.parametrize(
    "heading, column, file",
    [("## 8. buildspec.yml", 0, "buildspec.yml"), ("## 6. The build project", 1, "template.yml")],
)
def test_lines_that_are_explained_are_in_the_file(heading, column, file):
    text, rows = (ROOT / file).read_text(), table_below(heading, 2)
    assert len(rows) >= 10
    for row in rows:
        assert all(code in text for code in codes(row[column])), row


def test_practices_name_files_and_commands_that_exist():
    for heading, count in (("Ten practices", 10), ("![A deployment pipeline", 3)):
        rows = table_below(heading, 2)
        assert len(rows) == count
        for _, where in rows:
            assert all(
                (ROOT / name).exists()
                for name in codes(where)
                if re.fullmatch(r"\w+\.(yml|py|txt)", name)
            )


def test_errors_in_troubleshooting_are_those_that_are_told():
    sources = " ".join(
        re.sub(r'"\s*f?"', "", path.read_text()) for path in (ROOT / "sandbox").rglob("*.py")
    )
    rows = table_below("## 11. Troubleshooting", 3)
    assert len(rows) >= 15
    told = [code for row in rows for code in codes(row[0]) if code.startswith("error: ")]
    assert len(told) >= 8
    for error in told:
        pieces = [
            piece
            for piece in re.split(r"\d\.\d+|AWS_ENDPOINT_URL|'[^']*'|…|sandbox already", error[7:])
            if len(piece) > 5
        ]
        assert pieces and all(piece.strip() in sources for piece in pieces), error


def test_exercises_are_red_today_and_can_be_made_green(tmp_path):
    [block] = [block for block in BLOCKS if block.kind == "python" and use_of(block) == "tried"]
    handler = (ROOT / "hello_user.py").read_text()
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_hello_world.py").write_text(
        (ROOT / "test_hello_world.py").read_text() + "\n\n" + block.text
    )
    count = block.text.count("\ndef ") + 1
    solved = handler.replace(
        '    message = f"Hello {user}!" if user else "hello user"\n',
        """\
    if len(user or "") > 100:
        return {"statusCode": 400, "body": ""}
    hello = "Bonjour" if (event.get("queryStringParameters") or {}).get("lang") == "fr" else "Hello"
    message = f"{hello} {user.strip()}!" if user else "hello user"
""",
    )
    assert solved != handler
    for text, failed in ((handler, count), (solved, 0)):
        (tmp_path / "hello_user.py").write_text(text)
        shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)
        said = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            env={
                name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")
            },
        ).stdout
        assert ("failed" in said) == bool(failed) and (not failed or f"{failed} failed" in said), (
            said
        )


def test_push_without_a_commit_builds_nothing(quick):
    before = len(quick.builds())
    assert "Everything up-to-date" in quick.git("push", "sandbox").stderr
    assert len(quick.builds()) == before


@pytest.mark.parametrize(
    "draw",
    [
        "github-flow.svg",
        "delivery.svg",
        "pipeline.svg",
        "red-green.svg",
        "push-red.svg",
        "push-green.svg",
    ],
)
def test_image_is_small_has_a_text_and_knows_dark_and_light(draw):
    text = (ROOT / "images" / draw).read_text(encoding="utf-8")
    assert len(text) < 12_000
    assert 'role="img"' in text and "<title" in text and "<desc" in text
    assert "prefers-color-scheme: dark" in text or "push-" in draw  # a terminal is dark in both
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "").replace(
        "http://127.0.0.1", ""
    )
