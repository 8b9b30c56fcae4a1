"""The words with which a red push ends: from what commands have said, and from their reports."""

import os
import shutil
import subprocess
import sys

import pytest

from sandbox.builds import junit, progress
from sandbox.builds.hints import MOST, explain, find
from sandbox.codebuild.log import Log
from sandbox.codebuild.phases import Outcome
from sandbox.codebuild.reports import Case, Report
from sandbox.laptop.paths import ROOT

HANDLER = (ROOT / "hello_user.py").read_text(encoding="utf-8")
TESTS = (ROOT / "test_hello_world.py").read_text(encoding="utf-8")


def found_in(command, output, status=1, cases=()):
    return explain(
        output, command, status, [Case(name, "", "FAILED", 0, why) for name, why in cases]
    )


# A name; the handler, its tests and their file's name; pytest's exit status; what is said; a hint.
RUNS = {
    "a failed test": (
        HANDLER.replace("Hello {user}", "Hi {user}"),
        TESTS,
        1,
        "test_hello_user: AssertionError: assert {'message': '",
        "",
    ),
    "syntax error": (
        HANDLER + "def broken(:\n",
        TESTS,
        2,
        "hello_user.py, line 13: SyntaxError: invalid syntax: def broken(:",
        "mend line 13 of hello_user.py",
    ),
    "bracket that stays open": (
        HANDLER.replace("    return {", "    return {{"),
        TESTS,
        2,
        "hello_user.py, line 8: SyntaxError: '{' was never closed: return {{",
        "mend line 8 of hello_user.py",
    ),
    "indentation": (
        HANDLER + "  x = 1\n",
        TESTS,
        2,
        "hello_user.py, line 13: IndentationError: unindent does not match any outer indentation "
        "level: x = 1",
        "mend line 13 of hello_user.py",
    ),
    "syntax error in the tests": (
        HANDLER,
        TESTS.replace("def test_hello_user():", "def test_hello_user()"),
        2,
        "test_hello_world.py, line 51: SyntaxError: expected ':': def test_hello_user()",
        "mend line 51 of test_hello_world.py",
    ),
    "missing package": (
        "import no_such_package\n" + HANDLER,
        TESTS,
        2,
        "ModuleNotFoundError: No module named 'no_such_package'",
        "a line in requirements.txt, for the tests, and a place in the zip",
    ),
    "missing name": (
        HANDLER.replace("hello_user_handler", "hello_handler"),
        TESTS,
        2,
        "ImportError: cannot import name 'hello_user_handler' from 'hello_user'",
        "hello_user.py has no hello_user_handler: write the same name in both files",
    ),
    "error at import": (
        HANDLER + 'raise ValueError("not today")\n',
        TESTS,
        2,
        "test_hello_world.py: ValueError: not today",
        "",
    ),
    "no test": (
        HANDLER,
        "",
        5,
        "no tests ran",
        "no test was found: files are called `test_*.py`",
    ),
}


@pytest.mark.parametrize("handler, tests, status, said, hint", RUNS.values(), ids=RUNS)
def test_output_of_pytest_is_understood(tmp_path, handler, tests, status, said, hint):
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "hello_user.py").write_text(handler, encoding="utf-8")
    (tmp_path / "test_hello_world.py").write_text(tests, encoding="utf-8")
    own = ("PYTEST_", "CI", "COLUMNS")  # without a terminal, as in a build
    env = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=env,
        timeout=120,
    )
    assert done.returncode == status
    found = found_in("pytest", done.stdout, status)
    assert found.said.startswith(said), found
    assert (hint in found.hint) if hint else not found.hint


@pytest.mark.parametrize(
    "output, said, hint",
    [
        ("one\ntwo\n\n", "two", ""),
        ("", "", ""),
        ("sh: 1: pyest: not found", "sh: 1: pyest: not found", ""),
        (
            "Traceback (most recent call last):\n"
            '  File "/usr/lib/python3.11/runpy.py", line 198, in run\n'
            '  File "/codebuild/output/src1/src/hello_user.py", line 3\n    x = = 1\n        ^\n'
            "SyntaxError: invalid syntax",
            "hello_user.py, line 3: SyntaxError: invalid syntax: x = = 1",
            "mend line 3 of hello_user.py",
        ),
        (
            '{"errorType": "Runtime.ImportModuleError", "errorMessage": '
            "\"Unable to import module 'hello_user': No module named 'requests'\"}\nexit",
            "the function said Runtime.ImportModuleError: Unable to import module 'hello_user': "
            "No module named 'requests'",
            "write requests.py behind hello_user.py where buildspec.yml packs the zip",
        ),
        (
            '{"errorType": "Runtime.ImportModuleError", "errorMessage": '
            "\"Unable to import module 'hello_user': No module named 'hello_user'\"}",
            "the function said Runtime.ImportModuleError",
            "the zip holds no hello_user.py",
        ),
        (
            '{"errorType": "Runtime.HandlerNotFound", "errorMessage": "Handler \'a\' missing on"}',
            "the function said Runtime.HandlerNotFound",
            "`Handler:` in template.yml",
        ),
        (
            "\nAn error occurred (AccessDenied) when calling the ListUsers operation: User: arn:aws"
            ":sts::0:assumed-role/B/c is not authorized to perform: iam:ListUsers because no\n",
            "An error occurred (AccessDenied) when calling the ListUsers operation: User: arn:",
            "allow iam:ListUsers in `BuildRole` of template.yml",
        ),
        (
            "\nAn error occurred (ResourceConflictException) when calling the PublishVersion "
            "operation: The operation cannot be performed at this time.\n",
            "An error occurred (ResourceConflictException) when",
            "`aws lambda wait function-updated-v2`",
        ),
        (
            "\nAn error occurred (ResourceConflictException) when calling the UpdateFunctionCode "
            "operation: The operation cannot be performed at this time.\n",
            "An error occurred (ResourceConflictException) when",
            "`python3 -m sandbox build`",
        ),
        (
            "\nAn error occurred (ResourceNotFoundException) when calling the Invoke operation: \n",
            "An error occurred (ResourceNotFoundException) when calling the Invoke operation:",
            "",
        ),
        ("one\x1b[31mred\u202e", "one?[31mred?", ""),
        ("x" * 10_000, "x" * MOST, ""),
    ],
)
def test_output_of_any_command_is_understood(output, said, hint):
    found = found_in("some command", output)
    assert found.said.startswith(said)
    assert (hint in found.hint) if hint else not found.hint
    assert len(found.said) <= MOST and found.said.isprintable()


# What a tool prints when a command fails; what is said of it, and the line that tells it.
TOOLS = {
    "coverage": (
        "test_x.py .....\nFAIL Required test coverage of 90% not reached. Total coverage: 85.71%\n"
        "===== 12 passed in 0.03s =====\n",
        "FAIL Required test coverage of 90% not reached. Total coverage: 85.71%",
        "FAIL Required",
    ),
    "wrong path": (
        "ERROR: file or directory not found: tst\n\n===== no tests ran in 0.01s =====\n",
        "ERROR: file or directory not found: tst",
        "ERROR: file",
    ),
    "wrong option": (
        "ERROR: usage: pytest [options] [file_or_dir] [file_or_dir] [...]\n"
        "pytest: error: unrecognized arguments: --cov\n  inifile: None\n",
        "pytest: error: unrecognized arguments: --cov",
        "pytest: error",
    ),
    "docstring": (
        "___ test_a ___\n\n    def test_a():\n"
        '        """An error of the user is not the end."""\n>       assert 1 == 2\n'
        "E       assert 1 == 2\n\ntest_x.py:3: AssertionError\n"
        "=== short test summary info ===\nFAILED test_x.py::test_a - assert 1 == 2\n",
        "test_a: assert 1 == 2",
        "E       assert 1 == 2",
    ),
    "go": (
        "--- FAIL: TestAdd (0.00s)\n    add_test.go:9: got 3, want 4\nFAIL\nexit status 1\n",
        "TestAdd: add_test.go:9: got 3, want 4",
        "    add_test.go:9",
    ),
    "npm": (
        "npm error code E404\nnpm error 404 Not Found - GET https://registry.npmjs.org/x\n",
        "npm error 404 Not Found - GET https://registry.npmjs.org/x",
        "npm error 404",
    ),
    "pip": (
        "ERROR: Could not find a version that satisfies the requirement x\n"
        "ERROR: No matching distribution found for x\n",
        "ERROR: Could not find a version that satisfies the requirement x",
        "ERROR: Could",
    ),
    "traceback": (
        'Traceback (most recent call last):\n  File "<string>", line 1, in <module>\n'
        "ValueError: no\n\nDuring handling of the above exception, another exception occurred:\n\n"
        'Traceback (most recent call last):\n  File "x.py", line 2, in f\nKeyError: 1\nthe end\n',
        "KeyError: 1",
        "KeyError",
    ),
    "nothing but good news": ("Ran 3 tests in 0.1s\n\nOK\n12 passed, 3 skipped in 0.2s\n", "", ""),
    "no error among its words": (
        "collected 0 items / 1 error\n0 errors\nit ends\n",
        "it ends",
        "it",
    ),
}


@pytest.mark.parametrize(
    "answer, said",
    [
        (
            '{"statusCode": 200, "body": {"a": 1}}',
            "body is a dict, not text: the function answered {",
        ),
        ('{"statusCode": 200, "body": 3}', "body is a int, not text: "),
        ('{"statusCode": 200}', "there is no body: "),
        ('{"statusCode": 404, "body": {}}', "the function answered {"),
    ],
)
def test_body_that_is_no_text_is_named(answer, said):
    found = found_in('python -c assert answer["statusCode"]', f"{answer}Traceback …\nError: x\n")
    assert found.said.startswith(said) and found.line.startswith(answer)
    assert ("json.dumps" in found.hint) == ("body" in said)


@pytest.mark.parametrize("output, said, line", TOOLS.values(), ids=TOOLS)
def test_failure_is_named_and_never_the_reverse(output, said, line):
    found = found_in("a tool", output)
    assert found.said == said and found.line.startswith(line.strip())
    assert found.line in [*map(str.strip, output.splitlines()), ""]


UNITTEST = """
import unittest
class Greets(unittest.TestCase):
    def test_names(self):
        \"\"\"An error is here.\"\"\"
        self.assertEqual("a", "b")
    def test_no(self):
        raise ValueError("no")
"""
NODE = """
const test = require('node:test'); const assert = require('node:assert');
test('it adds', () => { assert.strictEqual(1, 2); });
test('a group', async (t) => { await t.test('inner', () => { throw new Error('boom'); }); });
"""
RUN = {
    "unittest": ("test_x.py", UNITTEST, [sys.executable, "-m", "unittest"]),
    "doctest": ("x.txt", ">>> 1 + 1\n3\n", [sys.executable, "-m", "doctest", "x.txt"]),
    "node-tap": ("a.test.js", NODE, ["node", "--test", "--test-reporter=tap"]),
    "node-spec": ("a.test.js", NODE, ["node", "--test", "--test-reporter=spec"]),
}
SAID = {
    "unittest": (
        "test_no: ValueError: no (and 1 more)",
        "ValueError: no",
    ),
    "doctest": ("x.txt: 1 + 1", "1 + 1"),
    "node-tap": (
        "it adds: Expected values to be strictly equal: (and 1 more)",
        "Expected values to be strictly equal:",
    ),
    "node-spec": (
        "it adds: AssertionError [ERR_ASSERTION]: Expected values to be strictly equal: "
        "(and 1 more)",
        "AssertionError [ERR_ASSERTION]: Expected values to be strictly equal:",
    ),
}


@pytest.mark.parametrize("tool", RUN)
def test_test_is_named_that_another_tool_has_run(tmp_path, tool):
    name, text, command = RUN[tool]
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not on this machine")
    (tmp_path / name).write_text(text)
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, env={"PATH": os.environ["PATH"]}
    )
    assert done.returncode
    found = found_in(tool, done.stdout + done.stderr)
    assert (found.said, found.line) == SAID[tool]


JUNIT = """<testsuites><testsuite name="pytest"><testcase classname="test_x" name="test_a[1]">
<failure message="#x1B[31mAssertionError">    def test_a():
&gt;       assert f() == 2
#x1B[1m#x1B[31mE       AssertionError: assert 1 == 2#x1B[0m

test_x.py:3: AssertionError</failure></testcase>
<testcase classname="T" name="test_b"><error type="KeyError">Traceback (most recent call last):
  File "x.py", line 2, in test_b
KeyError: &amp;#27;[1m'b'&amp;#27;[0m</error></testcase>
<testcase classname="T" name="test_c"><failure message="org.junit.X: expected 1"/></testcase>
<testcase classname="T" name="test_d"/></testsuite></testsuites>"""


@pytest.mark.parametrize(
    "first, said",
    [
        (0, "test_a[1]: AssertionError: assert 1 == 2 (and 2 more)"),
        (1, "test_b: KeyError: 'b' (and 1 more)"),
        (2, "test_c: org.junit.X: expected 1"),
        (3, ""),
    ],
)
def test_report_names_the_test_and_no_escape_code_is_in_it(first, said):
    cases = junit.cases(JUNIT.encode(), "JUNITXML")[first:]
    assert not [case for case in cases if "x1B" in case.message or "\x1b" in case.message]
    bad = [case for case in cases if case.status in ("FAILED", "ERROR")]
    assert explain("F.F.E\n3 failed, 1 passed in 0.05s\n", "pytest -q", 1, bad).said == (
        said or "3 failed, 1 passed in 0.05s"
    )
    # Of a command that has not run these tests they say nothing.
    assert explain("sh: 1: x: not found\n", "x", 127, bad).said == "sh: 1: x: not found"


def logged(folder, *commands, size=0):
    """Return a log and its progress: each command with its output and its status, in one phase."""
    log = Log(folder / "log", tell=progress.writer(folder / "progress"))
    log.mark("phase", name="BUILD")
    for command, output, status in commands:
        log.mark("command", text=command)
        log.line(f"Running command {command}")
        log.mark("output")
        log.output(b"." * size + b"\n" + output.encode())
        log.end_output()
        log.mark("command ended", status=status)
    log.close()
    return folder / "log", progress.read(folder / "progress")


def failed(command, status, *cases):
    reason = f"Error while executing command: {command}. Reason: exit status {status}"
    return Outcome("FAILED", "BUILD", reason, reports=(Report("tests", "FAILED", cases=cases),))


def test_words_are_those_of_the_command_that_has_failed(tmp_path):
    forged = (
        "Command did not exit successfully first exit status 1\nRunning command second\nAError: 1"
    )
    log, done = logged(
        tmp_path,
        ("first", "ModuleNotFoundError: No module named 'decoy'", 0),
        ("second\nof two lines", forged, 1),
        ("finally", "BError: 2", 2),
    )
    for command, status, said in (
        ("second\nof two lines", 1, "AError: 1"),
        ("finally", 2, "BError: 2"),
    ):
        found = find(log, done, failed(command, status))
        assert found.said == said
        assert log.read_bytes()[found.place :].startswith(found.said.encode() + b"\n")
    assert find(log, done, Outcome("FAILED", "POST_BUILD", "a phase without it")).said == ""
    assert find(log, done, Outcome("FAILED", "UPLOAD_ARTIFACTS", "no file")).said == ""


def test_huge_output_does_not_hide_what_failed(tmp_path):
    output = (
        "E   AssertionError: 1\n=== short test summary info ===\nFAILED a.py::test_a - Asserti..."
    )
    log, done = logged(tmp_path, ("pytest", output, 1), size=9 << 20)
    assert find(log, done, failed("pytest", 1)).said == "test_a: AssertionError: 1"
    case = Case("test_b", "", "FAILED", 0, "E   no")
    (tmp_path / "full").mkdir()
    log, done = logged(tmp_path / "full", ("pytest -q", "", 1), size=9 << 20)
    found = find(log, done, failed("pytest -q", 1, case))
    assert (found.said, found.place) == ("test_b: no", done.phases[0].commands[0].end)
