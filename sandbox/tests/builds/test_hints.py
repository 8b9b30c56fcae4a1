"""What the end of a log tells: the words with which a push ends, from what commands have said."""

import os
import subprocess
import sys

import pytest

from sandbox.builds.hints import MOST, find
from sandbox.laptop.paths import ROOT

HANDLER = (ROOT / "hello_user.py").read_text(encoding="utf-8")
TESTS = (ROOT / "test_hello_world.py").read_text(encoding="utf-8")


def log_of(command, output, status):
    """Return a log in which a command has failed, as the runner writes it."""
    at = "[Container] 2026/01/02 03:04:05.678901"
    ending = "" if output.endswith("\n") else "\n"
    return (
        f"{at} Entering phase PRE_BUILD\n"
        f"{at} Running command pip install pytest\nError: No module named 'decoy'\n\n"
        f"{at} Running command {command}\n{output}{ending}\n"
        f"{at} Command did not exit successfully {command} exit status {status}\n"
        f"{at} Phase complete: PRE_BUILD State: FAILED\n"
        f"{at} Phase context status code: COMMAND_EXECUTION_ERROR Message: …\n"
        f"{at} Entering phase POST_BUILD\nModuleNotFoundError: No module named 'later'\n"
    )


def found_in(command, output, status=1):
    reason = f"Error while executing command: {command}. Reason: exit status {status}"
    return find(log_of(command, output, status), reason)


# A name; the handler, its tests and their file's name; pytest's exit status; what is said; a hint.
RUNS = {
    "a failed test": (
        HANDLER.replace("Hello {user}", "Hi {user}"),
        TESTS,
        1,
        "FAILED test_hello_world.py::test_hello_user - AssertionError: assert {'message': ",
        "",
    ),
    "syntax error": (
        HANDLER + "def broken(:\n",
        TESTS,
        2,
        "hello_user.py, line 13: SyntaxError: invalid syntax: def broken(:",
        "mend line 13 of hello_user.py",
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
        "ERROR test_hello_world.py - ValueError: not today",
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
            "ERROR: file or directory not found: test\n\nno tests ran in 0.01s",
            "no tests ran in",
            "",
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
        ("\x1b[31mred\x1b[0m\u202e", "?[31mred?[0m?", ""),
        ("x" * 10_000, "x" * MOST, ""),
    ],
)
def test_output_of_any_command_is_understood(output, said, hint):
    found = found_in("some command", output)
    assert found.said.startswith(said)
    assert (hint in found.hint) if hint else not found.hint
    assert len(found.said) <= MOST and found.said.isprintable()


@pytest.mark.parametrize(
    "reason",
    ["", "the build's time is over", "Error while executing command: y. Reason: exit status 1"],
)
def test_nothing_is_found_where_no_such_command_failed(reason):
    assert find(log_of("x", "ModuleNotFoundError: No module named 'x'", 1), reason).hint == ""


def test_output_of_several_lines_of_command_is_its_own():
    command = "echo a\necho Running command b\nfalse"
    assert found_in(command, "a\nRunning command b\nthe end\n").said == "the end"
