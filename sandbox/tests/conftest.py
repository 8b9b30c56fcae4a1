"""The student whose sandbox the tests of a process share, and one who starts anew."""

import os

import psutil
import pytest

from sandbox.laptop import processes
from sandbox.laptop.paths import ROOT
from students import FOLDERS, Quick, Student


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish():
    FOLDERS.close()


def pytest_unconfigure(config):
    """End what works in the folders of an interrupted run: xdist kills those who would clear up."""
    if not hasattr(config, "workerinput"):
        base = f"{config._tmp_path_factory.getbasetemp()}{os.sep}"
        found = psutil.process_iter(["cwd"])
        processes.end([each for each in found if (each.info["cwd"] or "").startswith(base)])


@pytest.fixture
def newcomer(tmp_path):
    """A student with a fresh clone who has not typed anything yet."""
    someone = Student(tmp_path)
    try:
        yield someone
    finally:
        someone.leave()


@pytest.fixture(scope="session")
def shared_quick(tmp_path_factory):
    """A student whose sandbox is up: one for all tests of this process, as an `up` takes long."""
    someone = Quick(tmp_path_factory.mktemp("quick"))
    try:
        someone.say("start")
        someone.up()
        yield someone
    finally:
        someone.leave()


@pytest.fixture(scope="module")
def green(shared_quick):
    """The shared student, whose last build is green when a file begins."""
    shared_quick.revive()
    if not shared_quick.buildspec or shared_quick.builds()[-1]["status"] != "SUCCEEDED":
        shared_quick.release("green")
    return shared_quick


@pytest.fixture
def quick(green):
    """A student with quick builds whose sandbox is up; tests of a file leave it so."""
    green.revive()
    green.be_quick()
    return green


@pytest.fixture
def student(green):
    """The same student with the tutorial's own builds; each test leaves them green."""
    green.revive()
    green.be_thorough((ROOT / "buildspec.yml").read_text())
    return green
