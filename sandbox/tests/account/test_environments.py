"""Execution environments: what ends with them, what is bounded, and whose modules are imported."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile

import psutil
import pytest
from lone_account import OURS, Account, becomes, entry, zipped

from sandbox.account import endpoint
from sandbox.laptop.paths import ROOT
from students import lives

CHILD = "import os, subprocess, sys, time\nchild = 'while True: print(1, file=sys.stderr)'\n"


def handler(body: str, before: str = "") -> bytes:
    """Return a zip whose handler has this body."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return zipped(f"{before}\ndef hello_user_handler(event, context):\n{lines}")


def ended(*pids: int) -> bool:
    """Tell whether processes end; one that nobody reaps has ended."""
    return becomes(lambda: not any(map(lives, pids)))


@pytest.fixture
def much_is_logged(account):
    """Let the next test find a log that one page of events holds."""
    yield
    group, logs = {"logGroupName": "/aws/lambda/hello_user"}, account.client("logs")
    for stream in logs.describe_log_streams(**group)["logStreams"]:
        logs.delete_log_stream(**group, logStreamName=stream["logStreamName"])


def test_request_ends_at_its_deadline_with_all_that_the_function_has_started(
    account, tmp_path, much_is_logged
):
    code = handler(
        "pid = subprocess.Popen([sys.executable, '-c', 'import sys\\n' + child]).pid\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(pid))\n"
        "time.sleep(60)",
        CHILD,
    )
    body, error = account.invoke(account.publish(code, live=False))
    assert (body["errorType"], error) == ("Sandbox.Timedout", "Unhandled")
    assert account.tail.splitlines()[-3].endswith("Task timed out after 3.00 seconds")
    assert ended(int((tmp_path / "pid").read_text()))


def test_what_is_left_behind_ends_with_its_environment(account):
    code = handler(
        "return subprocess.Popen(['sleep', '600'], stdout=subprocess.DEVNULL).pid", CHILD
    )
    pid, _ = account.invoke(account.publish(code, live=False))
    assert psutil.pid_exists(pid)
    for number in range(4):
        account.invoke(account.publish(handler(f"return {number}"), live=False))
    assert ended(pid)


def test_environments_end_with_an_account_that_is_killed(tmp_path):
    made = Account(tmp_path, OURS)
    try:
        idle = handler("return [os.getpid(), subprocess.Popen(['sleep', '600']).pid]", CHILD)
        pids, _ = made.invoke(made.publish(idle, live=False))
        assert all(map(psutil.pid_exists, pids))
    finally:
        made.process.kill()
        made.process.wait(30)
    assert ended(*pids)


def test_answer_that_nobody_reads_ends_all_that_was_started():
    """As when the account is killed at once after it has read the one before."""
    code = (
        "import os, subprocess\n"
        "from sandbox.account.runtime import Client\n"
        "child = subprocess.Popen(['sleep', '600'], stdout=subprocess.DEVNULL)\n"
        "print(child.pid, flush=True)\n"
        "reader, writer = os.pipe()\n"
        "os.close(reader)\n"
        "Client(None, None, None, os.fdopen(writer, 'wb')).send(b'n')\n"
    )
    words, of = [sys.executable, "-c", code], {"cwd": ROOT, "stdout": subprocess.PIPE}
    done = subprocess.run(words, start_new_session=True, **of)
    try:
        assert done.returncode == -signal.SIGKILL and ended(int(done.stdout))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(done.stdout), signal.SIGKILL)


def test_output_without_end_is_bounded_and_what_is_left_out_is_said(account, much_is_logged):
    code = handler("while True:\n    print('x' * 500, flush=True)")
    version = account.publish(code, live=False)
    process = psutil.Process(account.process.pid)
    before = process.memory_info().rss
    for _ in range(3):
        assert account.invoke(version)[0]["errorType"] == "Sandbox.Timedout"
    assert process.memory_info().rss - before < 100 << 20
    report, end, timeout, left_out = account.tail.splitlines()[::-1][:4]
    assert report.startswith("REPORT ") and end.startswith("END ")
    assert timeout.endswith("Task timed out after 3.00 seconds")
    number = int(left_out.split()[0])
    assert number > 1_000_000
    assert left_out == f"{number} more bytes of this invocation's output are left out here"


def test_long_line_is_cut_into_events(account):
    account.invoke(account.publish(handler("print('y' * 400_000)"), live=False))
    lines = [line for line in account.log() if line[:1] == "y"]
    assert "".join(lines) == "y" * 400_000 and max(map(len, lines)) <= 262_144


def test_function_that_imitates_its_runtime_harms_itself_only(account):
    forged = "os.write(1, b'\\xa5\\x5a\\x00\\x03' + b'\\xff' * 20 + b'later')\nreturn 'alive'"
    assert account.invoke(account.publish(handler(forged, CHILD), live=False))[0] == "alive"
    flood = """\
for number in range(3, 30):
    try:
        os.write(number, b'r' + b'\\xff' * 50)
    except OSError:
        pass
return 'alive'"""
    body, error = account.invoke(account.publish(handler(flood, CHILD), live=False))
    assert (body["errorType"], error) == ("Runtime.ExitError", "Unhandled")
    assert account.invoke(account.publish(handler("return 'well'"), live=False))[0] == "well"


@pytest.mark.parametrize(
    "name", ["simplejson", "awslambdaric", "snapshot_restore_py", "runtime", "bootstrap", "urllib3"]
)
def test_module_of_the_function_is_imported_before_one_of_the_runtime(account, name):
    stream = io.BytesIO(handler(f"import {name}\nreturn {name}.WORD"))
    with zipfile.ZipFile(stream, "a") as code:
        code.writestr(entry(f"{name}.py"), "WORD = 'its own'")
    assert account.invoke(account.publish(stream.getvalue(), live=False)) == ("its own", None)


def test_runtime_runs_without_its_native_part(account):
    """On macOS there is none."""
    code = handler(
        "import awslambdaric.lambda_runtime_client as client\n"
        "return [importlib.util.find_spec('runtime_client'), client.runtime_client]",
        "import importlib.util",
    )
    assert account.invoke(account.publish(code, live=False)) == ([None, None], None)


def test_answers_are_written_as_by_lambda_s_runtime(account):
    body = "return {'d': Decimal('1.50'), 'b': b'x', 'n': N(1), 'u': 'ö'}"
    before = "from decimal import Decimal\nfrom collections import namedtuple\n"
    code = handler(body, before + "N = namedtuple('N', 'a')")
    answer = account.client("lambda").invoke(
        FunctionName="hello_user", Qualifier=account.publish(code, live=False)
    )
    assert answer["Payload"].read().decode() == '{"d": 1.50, "b": "x", "n": {"a": 1}, "u": "ö"}'


def test_memory_in_the_report_is_that_of_the_function(account):
    version = account.publish(handler("x = bytearray(200 << 20)\nreturn len(x)"), live=False)
    account.invoke(version)
    [report] = [line for line in account.tail.splitlines() if line.startswith("REPORT")]
    used = int(report.split("Max Memory Used: ")[1].split()[0])
    assert 200 <= used < 300 and "Init Duration: " in report
    account.invoke(account.publish(handler("return 1"), live=False))
    assert int(account.tail.split("Max Memory Used: ")[1].split()[0]) < 100


def test_log_in_json_is_heeded(account):
    functions = account.client("lambda")

    def log(**settings):
        functions.update_function_configuration(FunctionName="hello_user", LoggingConfig=settings)
        functions.get_waiter("function_updated_v2").wait(FunctionName="hello_user")

    log(LogFormat="JSON", LogGroup="/aws/lambda/hello_user")
    try:
        code = handler("logging.info('said')\nraise ValueError('why')", "import logging")
        account.invoke(account.publish(code, live=False))
    finally:
        log(LogFormat="Text", LogGroup="/aws/lambda/hello_user")
    start, said, error, report = map(json.loads, account.tail.splitlines())
    assert (start["type"], report["type"]) == ("platform.start", "platform.report")
    assert start["record"]["requestId"] == said["requestId"] == error["requestId"]
    assert (said["level"], said["message"]) == ("INFO", "said")
    assert (error["level"], error["errorType"], error["errorMessage"]) == (
        *("ERROR", "ValueError", "why"),
    )
    assert report["record"]["metrics"]["memorySizeMB"] == 128
    found = [endpoint.error_in_json(line) for line in account.tail.splitlines()]
    assert found == ["", "", "[ERROR] ValueError: why", ""]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows a process's descriptors so")
def test_ended_environments_leave_no_descriptor_and_no_folder(account):
    process = psutil.Process(account.process.pid)

    def descriptors_after_six_versions():
        for number in range(6):
            account.invoke(account.publish(handler(f"return {number}"), live=False))
        deadline = time.monotonic() + 30
        while len([*(account.folder / "environments").iterdir()]) > 5:  # four, and their packages
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return process.num_fds()

    assert descriptors_after_six_versions() >= descriptors_after_six_versions() - 4
