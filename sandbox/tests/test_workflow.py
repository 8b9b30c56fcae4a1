"""The workflow that runs the tests on the forge: what it may, and that nothing in it can move."""

import re

import pytest
import yaml

from sandbox.laptop.paths import ROOT

FILES = sorted((ROOT / ".github" / "workflows").glob("*"))
TEXT = (ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8")
# BaseLoader: for the others, YAML's `on` is the truth value of the same meaning.
WORKFLOW = yaml.load(TEXT, yaml.BaseLoader)
JOB = WORKFLOW["jobs"]["test"]


def test_workflow_is_the_only_one():
    assert [path.name for path in FILES] == ["test.yml"]
    assert list(WORKFLOW["jobs"]) == ["test"]


def test_workflow_may_read_and_nothing_else():
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert "permissions" not in JOB  # a job's own would replace these
    assert set(WORKFLOW["on"]) == {"push", "pull_request"}  # pull_request_target has a write token
    checkout = next(step for step in JOB["steps"] if "checkout" in step.get("uses", ""))
    assert checkout["with"]["persist-credentials"] == "false"
    assert "secrets." not in TEXT


def test_workflow_runs_no_text_of_a_pull_request():
    for step in JOB["steps"]:
        assert "${{" not in step.get("run", "")


@pytest.mark.parametrize("line", re.findall(r"uses:.*", TEXT))
def test_action_is_pinned_by_commit_and_says_its_version(line):
    assert re.fullmatch(r"uses: [\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)


def test_workflow_runs_the_test_command_on_both_systems_and_both_ends_of_python():
    assert JOB["strategy"]["matrix"] == {
        "os": ["ubuntu-latest", "macos-latest"],
        "python": ["3.10", "3.14"],
    }
    assert JOB["runs-on"] == "${{ matrix.os }}"
    assert JOB["steps"][-1] == {"run": "python3 -m sandbox test"}
    setup = next(step for step in JOB["steps"] if "setup-python" in step.get("uses", ""))
    assert setup["with"] == {"python-version": "${{ matrix.python }}"}


def test_workflow_says_what_it_is_not_for():
    assert "built by\n# CodeBuild" in TEXT.split("name: test")[0]
    assert "!github.event.repository.fork" in JOB["if"]
