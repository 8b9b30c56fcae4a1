"""Students whose sandbox the tests share."""

import pytest

from students import Quick, Student


@pytest.fixture(scope="session")
def student(tmp_path_factory):
    """A student whose sandbox is up; tests share it, and each leaves it green."""
    someone = Student(tmp_path_factory.mktemp("student"))
    try:
        someone.first_up = someone.sandbox("up")
        yield someone
    finally:
        someone.leave()


@pytest.fixture
def newcomer(tmp_path):
    """A student with a fresh clone who has not typed anything yet."""
    someone = Student(tmp_path)
    try:
        yield someone
    finally:
        someone.leave()


@pytest.fixture(scope="session")
def quick(tmp_path_factory):
    """A student with quick builds whose sandbox is up; each test leaves it up and green."""
    someone = Quick(tmp_path_factory.mktemp("quick"))
    try:
        someone.say("start")
        someone.first_up = someone.up()
        yield someone
    finally:
        someone.leave()
