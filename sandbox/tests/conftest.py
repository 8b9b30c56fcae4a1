"""Students whose sandbox the tests share."""

import os

import psutil
import pytest

from sandbox.laptop import processes
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


@pytest.fixture(scope="session")
def shared_student(tmp_path_factory):
    """A student whose sandbox is up."""
    someone = Student(tmp_path_factory.mktemp("student"))
    try:
        someone.first_up = someone.sandbox("up")
        someone.first_answers = [someone.get(), someone.get("?user=CI%20CD%20Developer")]
        yield someone
    finally:
        someone.leave()


@pytest.fixture
def student(shared_student):
    """A student whose sandbox is up; tests share it, and each leaves it green."""
    shared_student.revive()
    return shared_student


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
    """A student with quick builds whose sandbox is up."""
    someone = Quick(tmp_path_factory.mktemp("quick"))
    try:
        someone.say("start")
        someone.first_up = someone.up()
        yield someone
    finally:
        someone.leave()


@pytest.fixture
def quick(shared_quick):
    """A student with quick builds whose sandbox is up; each test leaves it up and green."""
    shared_quick.revive()
    return shared_quick
