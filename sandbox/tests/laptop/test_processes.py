"""Processes of ours, and how their end is waited for."""

import subprocess
import sys

import psutil
import pytest

from sandbox.laptop import processes


def ended():
    """Return a process that has ended, which its parent, this one, has not noticed yet."""
    started = subprocess.Popen([sys.executable, "-c", ""])
    found = psutil.Process(started.pid)
    while found.status() != psutil.STATUS_ZOMBIE:
        pass
    return started, found


def test_process_that_nobody_has_noticed_the_end_of_is_not_waited_for(monkeypatch):
    started, found = ended()
    monkeypatch.setattr(processes.time, "sleep", lambda _: pytest.fail("waited"))
    processes.wait([found])
    processes.end([found])
    started.wait()
    processes.wait([found])


def test_process_that_lives_is_waited_for(monkeypatch):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as started:
        monkeypatch.setattr(processes.time, "sleep", lambda _: started.communicate(b"\n"))
        processes.wait([psutil.Process(started.pid)])
        assert started.returncode == 0


def test_gentle_end_lets_a_process_end_by_itself():
    code = (
        "import signal, sys\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
        "print(1, flush=True)\n"
        "input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as started:
        started.stdout.readline()
        processes.end([psutil.Process(started.pid)])
        assert started.wait() == 7
