"""What a build's machine has: places without blanks, an aws, and a remote that answers."""

import os
import subprocess

import pytest

from sandbox import Mistake
from sandbox.builds import programs, worker
from sandbox.laptop.paths import ROOT


@pytest.mark.parametrize(
    "given, passed",
    [
        ("sts get-caller-identity --no-cli-pager", "sts get-caller-identity"),
        ("--no-cli-pager --no-cli-auto-prompt s3 ls", "s3 ls"),
        ("lambda --cli-binary-format raw-in-base64-out invoke x", "lambda invoke x"),
        ("lambda invoke --cli-binary-format=raw-in-base64-out x", "lambda invoke x"),
        ("x --cli-binary-format base64", "x --cli-binary-format base64"),
        ("x --cli-binary-format", "x --cli-binary-format"),
        ("", ""),
    ],
)
def test_options_of_version_2_that_ask_for_nothing_new_are_dropped(tmp_path, given, passed):
    program = tmp_path / "aws"
    program.write_text(programs.AWS.format(aws="printf '%s|' aws"))
    said = subprocess.run(
        ["sh", program, *given.split()], capture_output=True, text=True, timeout=30
    )
    assert said.stdout.split("|") == ["aws", *passed.split(), ""]


def test_arguments_stay_whole_and_in_order(tmp_path):
    program = tmp_path / "aws"
    program.write_text(programs.AWS.format(aws="printf '%s|' aws"))
    words = ["a  b", "", "*", "'", '"$(x)"', "--no-cli-pager", "\\", "a\nb"]
    said = subprocess.run(["sh", program, *words], capture_output=True, text=True, timeout=30)
    words.remove("--no-cli-pager")
    assert said.stdout == "".join(f"{word}|" for word in ["aws", *words])


def test_build_finds_the_history_at_its_remote_and_cannot_push(quick):
    quick.git("tag", "-f", "first-tag")
    quick.git("push", "-q", "-f", "sandbox", "first-tag")
    quick.run(
        "looks for history",
        'test "$(git config remote.origin.url)" = "$CODEBUILD_SOURCE_REPO_URL"',
        'test $(git log --oneline | wc -l) = 1 && test -z "$(git tag)"',
        "git fetch -q --tags && git rev-parse -q --verify first-tag",
        "git fetch -q --unshallow && git rev-parse -q --verify HEAD~1",
        "! git push -q origin HEAD:elsewhere",
        "git ls-remote --exit-code origin main",
    )
    assert "SUCCEEDED" in quick.push()[-1]
    assert "fatal: 'a build here has no credentials to push with'" in quick.log()


def test_depth_of_the_template_is_that_of_the_checkout(quick):
    count = 'test "$(git rev-list --count HEAD)" = '
    quick.edit("template.yml", "GitCloneDepth: 1", "GitCloneDepth: 0")
    quick.say("has all", f'{count}"$(git rev-list --count origin/main)" && git rev-parse HEAD~1')
    quick.up()
    assert quick.message() == "has all"
    quick.edit("template.yml", "GitCloneDepth: 0", "GitCloneDepth: 1")
    quick.say("has one", f"{count}1")
    quick.up()
    assert quick.message() == "has one"


def test_paths_of_a_build_need_no_quotation_marks(quick):
    assert " " in str(quick.clone)
    quick.run(
        "has no blanks",
        "cd $CODEBUILD_SRC_DIR && cd $HOME && cd $TMPDIR && cd $VIRTUAL_ENV",
        "test -f $CODEBUILD_SRC_DIR/buildspec.yml && cd $CODEBUILD_SRC_DIR",
        "export PATH=$PATH:$HOME/bin",
        'case "$PATH $(pwd -P)" in *" "*" "*) exit 1;; esac',
    )
    assert "SUCCEEDED" in quick.push()[-1]


def test_node_ids_of_pytest_are_those_of_a_plain_clone(quick):
    """Also with settings for pytest in the student's clone that are not committed."""
    (quick.clone / "t").mkdir()
    quick.write("t/test_one.py", "def test_a(): pass\ndef test_b(): assert False\n")
    quick.run(
        "tests",
        "pip install -q pytest==9.2.0",
        "pytest -q -k 'not build' --co t | grep '^t/test_one.py::test_a$'",
        "pytest t --deselect t/test_one.py::test_b --junitxml=out.xml",
        "grep 'classname=\"t.test_one\"' out.xml",
    )
    (quick.clone / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
    quick.push()
    (quick.clone / "pytest.ini").unlink()
    (quick.clone / "t" / "test_one.py").unlink()
    assert quick.builds()[-1]["status"] == "SUCCEEDED", quick.log()[-3000:]
    assert "rootdir: /" in quick.log() and "\nt/test_one.py ." in quick.log()


def test_place_of_builds_belongs_to_nobody_else(tmp_path, monkeypatch):
    place = tmp_path / "place"
    monkeypatch.setattr(worker, "OUTSIDE", place)
    place.symlink_to(ROOT)
    worker.make_outside()
    assert not place.is_symlink()
    place.chmod(0o777)
    worker.make_outside()
    assert place.stat().st_mode & 0o777 == 0o700
    monkeypatch.setattr(os, "getuid", lambda: place.stat().st_uid + 1)
    with pytest.raises(Mistake, match="is not yours"):
        worker.make_outside()
