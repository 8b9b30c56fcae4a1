"""Versions, the alias, the way back, and requests that never fail meanwhile."""

import json
import re
import threading
import urllib.error

import pytest

from sandbox.laptop.network import direct


def versions(someone):
    listed = someone.client("lambda").list_versions_by_function(
        FunctionName="hello_user", MaxItems=1000
    )["Versions"]
    return {item["Version"]: item for item in listed}


def describe(someone):
    """Name the commit in what the quick buildspec publishes, as the real one does."""
    text = (someone.clone / "buildspec.yml").read_text()
    assert "--publish" in text
    someone.write(
        "buildspec.yml",
        text.replace("--publish", "")
        .replace("VERSION=$(aws", "aws")
        .replace(
            "--query Version --output text) &&",
            "&& aws lambda wait function-updated-v2 --function-name hello_user "
            "&& VERSION=$(aws lambda publish-version --function-name hello_user --description "
            "$CODEBUILD_RESOLVED_SOURCE_VERSION --query Version --output text) &&",
        ),
    )


def test_rollback_is_one_plain_command_and_the_next_push_moves_forward(quick):
    old, new = quick.release("old"), quick.release("new")
    move = "lambda update-alias --function-name hello_user --name live --function-version"
    quick.aws(*move.split(), old)
    assert quick.message() == "old"
    assert f"live      version {old} " in quick.sandbox("status").stdout
    quick.up()
    assert quick.message() == "old"  # `up` does not undo a rollback
    newest = quick.release("newest")
    assert int(newest) > int(new) and quick.message() == "newest"


@pytest.mark.long
def test_version_names_its_commit_and_status_shows_it(quick):
    quick.say("named")
    describe(quick)
    commit = quick.commit("Describe the version")
    quick.push()
    assert versions(quick)[quick.live()]["Description"] == commit
    assert (
        f"version {quick.live()} (commit {commit[:7]}: Describe the version)"
        in quick.sandbox("status").stdout
    )


@pytest.mark.long
def test_broken_template_leaves_what_is_live(quick):
    quick.release("whole")
    text = (quick.clone / "template.yml").read_text()
    try:
        quick.edit(
            "template.yml", "      ProtocolType: HTTP\n", "      ProtocolType: !Ref NoSuchThing\n"
        )
        said = quick.sandbox("up", code=2).stderr
        assert (
            "error: template.yml could not be deployed:" in said
            and "hint: mend template.yml" in said
        )
        assert quick.message() == "whole"
    finally:
        quick.write("template.yml", text)
        quick.up()
    assert quick.message() == "whole"


class Requests(threading.Thread):
    """Asks the endpoint without a pause and keeps what it answers."""

    def __init__(self, url):
        super().__init__(daemon=True)
        self.url, self.answers, self.failures, self.over = url, [], [], threading.Event()

    def run(self):
        while not self.over.is_set():
            try:
                with direct().open(self.url, timeout=30) as answer:
                    self.answers.append(json.loads(answer.read())["message"])
            except (OSError, ValueError, KeyError, urllib.error.HTTPError) as error:
                self.failures.append(repr(error))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join(60)


def test_requests_never_fail_during_deploys_rollback_and_red_pushes(quick, request):
    deploys = 20 if request.config.getoption("--long") else 1
    version = quick.release("start")
    with Requests(quick.url()) as requests:
        for number in range(deploys):
            quick.release(f"deploy {number}")
            enough = 50 * (number + 1)  # 1,000 over twenty deploys
            quick.wait_for(lambda n=enough: len(requests.answers) + len(requests.failures) >= n)
        quick.move_live(version)
        assert quick.message() == "start"
        quick.say("never seen", "exit 1")
        assert "FAILED in PRE_BUILD" in quick.push()[-1]
        quick.release("end")
    assert requests.failures == []
    assert set(requests.answers) <= {
        "start",
        "end",
        *(f"deploy {number}" for number in range(deploys)),
    }
    assert len(set(requests.answers)) > deploys
    print(len(requests.answers), "requests over", deploys, "deploys, 0 failed")


@pytest.mark.long
def test_requests_never_fail_with_the_real_buildspec(student):
    text = (student.clone / "hello_user.py").read_text()
    try:
        with Requests(student.url()) as requests:
            student.write(
                "hello_user.py", re.sub(r'else "hello user"', 'else ("hello user")', text)
            )
            student.commit("The same in other words")
            assert "SUCCEEDED" in student.push()[-1]
        assert (requests.failures, set(requests.answers)) == ([], {"hello user"})
    finally:
        student.write("hello_user.py", text)
        student.commit("As it was")
        student.push()
