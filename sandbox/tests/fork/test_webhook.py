"""The fork: what its webhook builds, and what the student's git may say about it."""

import os
import subprocess

import pytest

from sandbox.codebuild.project import NO_COMMIT
from sandbox.fork import repository, webhook
from sandbox.fork.webhook import Push, refusal

A, B = "a" * 40, "b" * 40
MAIN = Push(A, B, "refs/heads/main")
EVENT = {"Type": "EVENT", "Pattern": "PUSH"}


def head(pattern, **more):
    return {"Type": "HEAD_REF", "Pattern": pattern} | more


@pytest.mark.parametrize(
    "groups",
    [
        [[EVENT, head("^refs/heads/main$")]],
        [[{"Type": "EVENT", "Pattern": "PULL_REQUEST_CREATED, PUSH"}]],
        [[EVENT, head("main")]],
        [[EVENT, head("^refs/tags/")], [EVENT, head("heads")]],
        [[EVENT, head("^refs/heads/other$", ExcludeMatchedPattern=True)]],
        [[EVENT, head("^refs/heads/other$", ExcludeMatchedPattern="true")]],
        [[]],
    ],
    ids=[
        "tutorial",
        "event-list",
        "unanchored",
        "second-group",
        "excluded",
        "excluded-as-text",
        "no-filter",
    ],
)
def test_refusal_lets_a_push_through(groups):
    assert not refusal(MAIN, groups)


@pytest.mark.parametrize(
    "push, groups, reason",
    [
        (
            Push(A, B, "refs/heads/mainline"),
            [[EVENT, head("^refs/heads/main$")]],
            "filter HEAD_REF ^refs/heads/main$ in",
        ),
        (
            Push(A, B, "refs/tags/main"),
            [[EVENT, head("^refs/heads/main$")]],
            "does not let it through",
        ),
        (
            MAIN,
            [[{"Type": "EVENT", "Pattern": "PULL_REQUEST_CREATED"}]],
            "EVENT PULL_REQUEST_CREATED in template.yml leaves",
        ),
        (MAIN, [[{"Type": "EVENT", "Pattern": "PUSHED"}]], "leaves pushes out"),
        (MAIN, [[EVENT, head("main", ExcludeMatchedPattern=True)]], "does not let it through"),
        (
            MAIN,
            [[EVENT, {"Type": "ACTOR_ACCOUNT_ID", "Pattern": "1"}]],
            "ACTOR_ACCOUNT_ID 1 in template.yml cannot be met here",
        ),
        (MAIN, [[EVENT, head("(")]], "is no regular expression"),
        (MAIN, [[EVENT, head("x")], [EVENT, head("y")]], " and the webhook's filter HEAD_REF y"),
        (MAIN, [], "no webhook"),
        (Push(A, NO_COMMIT, "refs/heads/main"), [[EVENT]], "it was deleted"),
    ],
    ids=[
        "anchored",
        "tag",
        "event",
        "event-word",
        "excluded",
        "unknown-type",
        "bad-pattern",
        "no-group",
        "no-webhook",
        "deleted",
    ],
)
def test_refusal_gives_the_reason(push, groups, reason):
    assert reason in refusal(push, groups)


@pytest.fixture
def history(tmp_path, monkeypatch):
    """A fork with two commits: return a function that makes a push of the second."""
    env = os.environ | {
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@b",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@b",
    }

    def git(*arguments):
        return subprocess.run(
            ["git", *arguments], cwd=tmp_path, env=env, check=True, capture_output=True, text=True
        ).stdout.strip()

    git("init", "-q")
    for name, message in (("docs/read me.txt", "Start"), ("src/naïve.py", "Change\n\n[skip ci]")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
        git("add", "-A")
        git("commit", "-q", "-m", message)
    monkeypatch.setattr(repository, "FORK", tmp_path / ".git")
    monkeypatch.setattr(repository, "FOLDER", tmp_path)
    return Push(git("rev-parse", "HEAD~1"), git("rev-parse", "HEAD"), "refs/heads/main")


@pytest.mark.parametrize(
    "kind, pattern, built",
    [
        ("COMMIT_MESSAGE", r"\[skip ci\]", True),
        ("COMMIT_MESSAGE", "Start", False),
        ("FILE_PATH", "^src/naïve.py$", True),
        ("FILE_PATH", "^docs/", False),
    ],
)
def test_refusal_reads_the_commits(history, kind, pattern, built):
    assert (not refusal(history, [[EVENT, {"Type": kind, "Pattern": pattern}]])) is built


def test_refusal_sees_the_old_path_of_what_was_renamed(history):
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", repository.FOLDER]
    (repository.FOLDER / "src" / "naïve.py").write_text("print(1)\n" * 9)
    for words in (
        ["add", "-A"],
        ["commit", "-qm", "1"],
        ["mv", "src", "lib"],
        ["commit", "-qm", "2"],
    ):
        subprocess.run([*git, *words], check=True)
    push = Push("HEAD~1", "HEAD", history.ref)
    for pattern in ("^src/", "^lib/"):
        assert not refusal(push, [[EVENT, {"Type": "FILE_PATH", "Pattern": pattern}]])


def test_refusal_takes_all_files_of_a_new_branch(history):
    push = Push(NO_COMMIT, history.after, history.ref)
    assert not refusal(push, [[EVENT, {"Type": "FILE_PATH", "Pattern": "^docs/read me.txt$"}]])


def test_pushes_reads_names_that_are_no_text():
    [push] = webhook.read(
        [
            b"%s %s refs/heads/\xff 'a' \"b\"\n" % (A.encode(), B.encode()),
        ]
    )
    assert push == Push(A, B, os.fsdecode(b"refs/heads/\xff 'a' \"b\""))
    assert push.shown.isprintable()


def test_subject_has_nothing_that_a_terminal_acts_on(history):
    assert repository.subject(history.after) == "Change"
    assert repository.subject("no-such-commit") == ""


def test_hook_runs_whatever_the_students_git_says(quick, tmp_path):
    quick.git("config", "--global", "core.hooksPath", str(tmp_path))
    quick.git("config", "--global", "push.default", "nothing")
    try:
        quick.commit("With hooks elsewhere")
        assert "SUCCEEDED" in quick.push()[-1]
    finally:
        quick.git("config", "--global", "--unset", "core.hooksPath")
        quick.git("config", "--global", "--unset", "push.default")


def test_remote_of_the_same_name_is_left_alone(quick):
    quick.git("remote", "set-url", "sandbox", "https://example.com/mine.git")
    try:
        said = quick.sandbox("up", code=2).stderr
        assert "error: this clone has a remote named sandbox already" in said
        assert "Deploying" not in said
        assert quick.git("remote", "get-url", "sandbox").stdout == "https://example.com/mine.git\n"
    finally:
        quick.git("remote", "remove", "sandbox")
        quick.up()
    assert quick.git("remote", "get-url", "sandbox").stdout == ".sandbox/fork.git\n"


@pytest.mark.long
def test_annotated_tag_is_built_as_its_commit(quick):
    text = (quick.clone / "template.yml").read_text()
    try:
        quick.edit("template.yml", "^refs/heads/main$", "^refs/(heads/main|tags/v.*)$")
        quick.up()
        quick.say("tagged")
        quick.git("tag", "-a", "-m", "One", "v1.0")
        assert "SUCCEEDED" in quick.push("v1.0")[-1]
        record = quick.builds()[-1]
        assert (record["ref"], record["commit"]) == (
            "refs/tags/v1.0",
            quick.git("rev-parse", "HEAD").stdout.strip(),
        )
    finally:
        quick.write("template.yml", text)
        quick.up()
