"""Processes of ours: how their end is waited for, and what others can see of them."""

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


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
def test_no_process_of_ours_beside_a_build_has_the_student_s_token(quick):
    """A build may look at the environment of each process of its user."""
    env = quick.env | {"GITHUB_TOKEN": "seen-by-a-build"}
    look = (
        "import glob\n"
        "for name in glob.glob('/proc/[0-9]*/environ'):\n"
        "    try:\n"
        "        if b'GITHUB_TOKEN=seen-by' in open(name, 'rb').read():\n"
        "            words = open(name.replace('environ', 'cmdline')).read().split(chr(0))\n"
        "            print('TOKEN', *words)\n"
        "    except OSError:\n"
        "        pass\n"
    )

    def seen():
        return [line.strip() for line in quick.log().splitlines() if line.startswith("TOKEN")]

    quick.write("look.py", look)
    quick.run("looks", "python look.py")
    assert "SUCCEEDED" in quick.type("git", "push", "sandbox", env=env).stderr
    assert seen() == ["TOKEN git push sandbox"]  # the student's own, which says that it looks
    quick.sandbox("build", env=env)
    assert seen() == []
    quick.commit("Built by up")
    quick.sandbox("up", env=env)
    assert quick.builds()[-1]["commit"] == quick.git("rev-parse", "HEAD").stdout.strip()
    assert seen() == []
