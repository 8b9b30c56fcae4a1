"""What is live moves only when somebody moved it: a green build, or the student."""

from __future__ import annotations

import json
import subprocess
import time

import pytest

from clones import PYTHON, TIMEOUT
from sandbox.account.endpoint import NO_ERROR
from students import until

MOVE = "aws lambda update-alias --function-name hello_user --name live --function-version"


def pushed_while(someone, during) -> list[str]:
    """Push, do something while the build waits for the file `go`, and return the remote's lines."""
    push = someone.start_push(stderr=subprocess.PIPE)
    someone.wait_for((someone.clone / "waits").exists)
    during()
    (someone.clone / "go").touch()
    said = push.communicate(timeout=TIMEOUT)[1]
    for name in ("waits", "go"):
        (someone.clone / name).unlink()
    return [line.removeprefix("remote:").strip() for line in said.splitlines()]


def waiting(someone) -> str:
    """Return a command with which a build waits for the file `go`."""
    return f"touch '{someone.clone}/waits'; {until(someone.clone / 'go')}"


def test_rollback_during_a_red_build_stands(quick):
    old, word = quick.live(), quick.message()
    new = quick.release("new")
    quick.say("red", waiting(quick), "exit 1")
    lines = pushed_while(quick, lambda: quick.move_live(old))
    assert f"nothing was released, version {old} is still live" in "\n".join(lines)
    assert (quick.live(), quick.message()) == (old, word)
    quick.sandbox("up", code=1)  # HEAD is red
    assert quick.live() == old != new


def test_what_a_red_build_moved_is_taken_back(quick):
    before, other = "1", quick.release("other")
    share = f"--routing-config AdditionalVersionWeights={{{other}=0.5}}"
    quick.say("red", f"{MOVE} {before} {share}", "exit 1")
    taken_back = f"alias live to version {before} and 50% to version {other}"
    assert quick.push()[-1].endswith(
        f"nothing was released, version {other} is still live; taken back: {taken_back}"
    )
    alias = quick.client("lambda").get_alias(FunctionName="hello_user", Name="live")
    assert (alias["FunctionVersion"], alias.get("RoutingConfig")) == (other, None)


@pytest.mark.long
def test_red_build_that_moves_it_again_leaves_the_student_s_choice(quick):
    one, two, three = (quick.release(word) for word in ("one", "two", "three"))
    quick.say("red", f"{MOVE} {one}", waiting(quick), f"{MOVE} {three}", "exit 1")
    lines = pushed_while(quick, lambda: quick.move_live(two))
    assert f"version {two} is still live" in "\n".join(lines)
    assert quick.live() == two


@pytest.mark.long
def test_rollback_during_a_green_build_stands_if_it_comes_later(quick):
    old = quick.release("early")
    quick.say("late")
    text = (quick.clone / "buildspec.yml").read_text()
    quick.write("buildspec.yml", text + f"      - {json.dumps(waiting(quick))}\n")
    quick.commit("Wait after the release")
    lines = pushed_while(quick, lambda: quick.move_live(old))
    [verdict] = [line for line in lines if "SUCCEEDED: " in line]
    assert f"was released; version {old} is live since then" in verdict
    assert (quick.live(), quick.message()) == (old, "early")


def test_rollback_during_a_deploy_of_the_stack_stands(quick):
    old, new = quick.live(), quick.release("second")
    text = (quick.clone / "template.yml").read_text()
    quick.edit("template.yml", "      Name: live\n", "      Name: live\n      Description: moved\n")
    try:
        up = quick.start(PYTHON, "-m", "sandbox", "up", stderr=subprocess.PIPE)
        said = iter(up.stderr.readline, "")
        assert any("Deploying template.yml" in line for line in said)
        quick.move_live(old)
        up.communicate(timeout=TIMEOUT)
        assert quick.live() == old != new
    finally:
        quick.write("template.yml", text)
        quick.up()
    assert quick.live() == old


DAEMON = """\
import json, os, shutil, subprocess, sys, time, urllib.request
if len(sys.argv) == 2:  # keep what the build's own folder and address give
    os.environ["PATH"] = os.path.dirname(os.path.realpath(shutil.which("aws"))) + ":/usr/bin:/bin"
    request = urllib.request.Request(os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"])
    request.add_header("Authorization", os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"])
    found = json.load(urllib.request.urlopen(request))
    os.environ["AWS_ACCESS_KEY_ID"] = found["AccessKeyId"]
    os.environ["AWS_SECRET_ACCESS_KEY"] = found["SecretAccessKey"]
    os.environ["AWS_SESSION_TOKEN"] = found["Token"]
if os.fork() or os.setsid() or os.fork():
    os._exit(0)
for name in [name for name in os.environ if name.startswith("CODEBUILD_")]:
    del os.environ[name]
if len(sys.argv) == 2:
    os.execv(sys.executable, [sys.executable, *sys.argv, "again"])  # with a clean environment
os.environ["PATH"] = sys.argv[1] + "/.sandbox/bin:" + os.environ["PATH"]  # outlives a build
while not os.path.exists(sys.argv[1] + "/go"):
    time.sleep(0.05)
done = subprocess.run("MOVE 1", shell=True, capture_output=True, text=True)
open(sys.argv[1] + "/said", "w").write(done.stderr or "moved")
""".replace("MOVE", MOVE)


@pytest.mark.skipif("sys.platform != 'linux'")
def test_credentials_end_with_a_build_whose_worker_was_killed(quick):
    """What it has left behind runs on, unseen, and can release nothing."""
    before = quick.live(), quick.message()
    quick.write("daemon.py", DAEMON)
    quick.say(
        "killed", f"python daemon.py '{quick.clone}'", "sleep 0.5", "kill -9 $PPID", "sleep 60"
    )
    quick.push()
    assert quick.builds()[-1]["status"] == "FAULT"
    (quick.clone / "go").touch()
    said = quick.wait_for(
        lambda: (quick.clone / "said").exists() and (quick.clone / "said").read_text()
    )
    for name in ("go", "said", "daemon.py"):
        (quick.clone / name).unlink()
    assert "calling the UpdateAlias operation: The security token" in said
    assert (quick.live(), quick.message()) == before


def test_up_repairs_what_nobody_made_live(quick):
    version = quick.release("right")
    root = json.loads((quick.clone / ".sandbox" / "account" / "keys.json").read_text())["root"]
    keys = dict(zip(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), root, strict=True))
    env = quick.aws_environment() | keys
    quick.type("sh", "-c", f"{MOVE} 1", env=env)
    assert quick.live() == "1"
    quick.up()
    assert (quick.live(), quick.message()) == (version, "right")
    quick.move_live("1")
    quick.up()
    assert quick.live() == "1"  # a person has said so
    quick.move_live(version)


def test_build_without_deploy_commands_says_that_nothing_was_released(quick):
    version = quick.live()
    quick.write("buildspec.yml", "version: 0.2\nphases: {build: {commands: ['true']}}\n")
    quick.commit("Deploy nothing")
    verdict = f" SUCCEEDED: it released nothing, version {version} is still live"
    assert verdict in quick.push()[-1]
    assert quick.builds()[-1]["released"] is None


def test_update_that_a_build_leaves_behind_is_over_when_the_next_begins(quick):
    upload = "aws lambda update-function-code --function-name hello_user --zip-file"
    zipped = "python -m zipfile -c early.zip hello_user.py"
    quick.say("no waiter", zipped, f"{upload} fileb://early.zip --query LastUpdateStatus", "exit 1")
    assert "InProgress" in "\n".join(quick.push())
    quick.client("lambda").publish_version(FunctionName="hello_user")


def test_same_code_is_a_new_version_as_on_aws(quick):
    one = quick.release("same")
    quick.write("NOTES.txt", f"Nothing that the function contains: {time.time()}\n")
    quick.commit("Add notes")
    assert "SUCCEEDED" in quick.push()[-1]
    assert int(quick.live()) == int(one) + 1


def test_line_without_an_end_has_nothing_glued_to_it(quick):
    seen = f"grep -qs 'no end of the lin[e]' '{quick.clone}'/.sandbox/builds/*/log"
    wait = f"for i in $(seq 1200); do {seen} && break; sleep 0.1; done"
    quick.say("no end", f"printf 'no end of %s' 'the line'; {wait}; kill -9 $PPID; sleep 60")
    lines = quick.push()
    assert any(line.endswith("no end of the line") for line in lines)
    assert not [line for line in lines if "of the line[sandbox]" in line]


def test_endpoint_that_does_not_answer_is_told_with_its_reason(quick):
    quick.say("fine")
    quick.write("hello_user.py", "import no_such_package\n")
    quick.write("test.txt", "")
    quick.commit("Import what is not there")
    why = (
        "it answers 500: Runtime.ImportModuleError: Unable to import module 'hello_user': "
        "No module named 'no_such_package' (log group /aws/lambda/hello_user)"
    )
    verdict = quick.push()[-1]
    assert f"SUCCEEDED: version {quick.live()} is live, but {why}" in verdict
    assert f"\n          {why}\n" in quick.sandbox("status").stdout
    quick.release("fine again")
    assert "it answers" not in quick.sandbox("status").stdout


def test_endpoint_without_its_permission_is_told_what_mends_it(quick):
    functions = quick.client("lambda")
    name = {"FunctionName": "hello_user", "Qualifier": "live"}
    [allowed] = json.loads(functions.get_policy(**name)["Policy"])["Statement"]
    functions.remove_permission(**name, StatementId=allowed["Sid"])
    assert f"          it answers 500: {NO_ERROR} (log group " in quick.sandbox("status").stdout
    quick.up()
    assert "it answers" not in quick.sandbox("status").stdout
