"""Accounts without a student: an emulator alone, with template.yml deployed into it."""

import pytest
from lone_account import BARE, OURS, Account


@pytest.fixture(scope="session")
def account(tmp_path_factory):
    """The account as `up` starts it."""
    made = Account(tmp_path_factory.mktemp("account"), OURS)
    yield made
    made.end()


@pytest.fixture(scope="session")
def bare(tmp_path_factory):
    """MiniStack alone, with nothing of ours around it."""
    made = Account(tmp_path_factory.mktemp("bare"), BARE)
    yield made
    made.end()
