"""What the account keeps: whatever ends its process, and whichever file of it is cut short."""

import json
import shutil
from pathlib import Path

import botocore.exceptions
import pytest
from lone_account import NAME, OURS, Account, answering

from sandbox.account import keys, state
from sandbox.account.emulator import UNREADABLE

BUILD = "AWSCodeBuild-kept"
SERVICES = (
    "apigateway cloudformation cloudwatch_logs codebuild iam lambda s3 secretsmanager ssm"
).split()


@pytest.fixture(scope="module")
def shared_mortal(tmp_path_factory):
    made = Account(tmp_path_factory.mktemp("mortal"), OURS)
    yield made
    made.end()


@pytest.fixture
def mortal(shared_mortal, monkeypatch):
    """An account of this file's own, which its tests kill."""
    monkeypatch.setattr(keys, "FILE", shared_mortal.folder / "keys.json")
    monkeypatch.setattr(state, "endpoint", lambda: f"http://127.0.0.1:{shared_mortal.port}")
    if shared_mortal.process.poll() is not None:
        shared_mortal.start()
    return shared_mortal


def killed(account):
    account.kill()
    account.start()


def test_all_that_a_person_does_outlives_a_kill_the_moment_it_is_answered(mortal):
    version = mortal.publish(answering("nobody's build"))
    other = mortal.publish(answering("another"), live=False)
    share = {"AdditionalVersionWeights": {other: 0.25}}
    mortal.client("lambda").update_alias(**NAME, Name="live", RoutingConfig=share)
    killed(mortal)
    assert (state.ask().version, state.ask().weights) == (version, {other: 0.25})
    mortal.client("lambda").update_alias(**NAME, Name="live", RoutingConfig={})
    killed(mortal)
    assert (state.ask().version, state.ask().weights) == (version, {})
    assert mortal.get()[2] == b"nobody's build"
    mortal.client("ssm").put_parameter(Name="p", Type="SecureString", Value="kept")
    killed(mortal)
    mortal.client("secretsmanager").create_secret(Name="s", SecretString="kept")
    killed(mortal)
    mortal.client("iam").create_user(UserName="somebody")
    killed(mortal)
    mortal.client("logs").create_log_group(logGroupName="/mine")
    killed(mortal)
    mortal.client("s3").create_bucket(Bucket="mine")
    mortal.client("s3").put_object(Bucket="mine", Key="k", Body=b"\0\xff")
    killed(mortal)
    found = mortal.client("ssm").get_parameter(Name="p", WithDecryption=True)
    assert found["Parameter"]["Value"] == "kept"
    assert mortal.client("secretsmanager").get_secret_value(SecretId="s")["SecretString"] == "kept"
    assert mortal.client("iam").get_user(UserName="somebody")
    groups = mortal.client("logs").describe_log_groups()["logGroups"]
    assert "/mine" in [group["logGroupName"] for group in groups]
    assert mortal.client("s3").get_object(Bucket="mine", Key="k")["Body"].read() == b"\0\xff"
    mortal.client("lambda").delete_function(**NAME, Qualifier=other)
    killed(mortal)
    listed = mortal.client("lambda").list_versions_by_function(**NAME)["Versions"]
    assert other not in [each["Version"] for each in listed]


def test_stack_that_is_being_deployed_is_kept_when_it_is_done(mortal):
    stacks = mortal.client("cloudformation")
    template = {"Resources": {"P": {"Type": "AWS::SSM::Parameter", "Properties": {}}}}
    template["Resources"]["P"]["Properties"] = {"Name": "of-stack", "Type": "String", "Value": "1"}
    stacks.create_stack(StackName="small", TemplateBody=json.dumps(template))
    stacks.get_waiter("stack_create_complete").wait(StackName="small", WaiterConfig={"Delay": 0.1})
    # One that somebody looks at before it is made is not in progress, and nobody may wait for it.
    looked_at = {"StackName": "looked-at", "ChangeSetName": "c", "ChangeSetType": "CREATE"}
    stacks.create_change_set(**looked_at, TemplateBody=json.dumps(template))
    killed(mortal)
    [found] = stacks.describe_stacks(StackName="looked-at")["Stacks"]
    assert found["StackStatus"] == "REVIEW_IN_PROGRESS"
    stacks.delete_stack(StackName="looked-at")
    [found] = stacks.describe_stacks(StackName="small")["Stacks"]
    assert found["StackStatus"] == "CREATE_COMPLETE"
    assert mortal.client("ssm").get_parameter(Name="of-stack")["Parameter"]["Value"] == "1"


@pytest.mark.parametrize("person", [False, True])
def test_build_that_has_not_ended_leaves_the_alias_as_it_was(mortal, person):
    """A person's call in the middle writes what the build has done so far, too."""
    version = mortal.publish(answering("before"))
    red = mortal.publish(answering("red"), live=False)
    builds = mortal.as_build("lambda", BUILD)
    share = {"AdditionalVersionWeights": {version: 0.5}}
    builds.update_alias(**NAME, Name="live", FunctionVersion=red, RoutingConfig=share)
    if person:
        mortal.client("ssm").put_parameter(
            Name="p", Type="String", Value="meanwhile", Overwrite=True
        )
    assert state.ask().version == red
    killed(mortal)
    assert (state.ask().version, state.ask().weights) == (version, {})


def test_green_build_is_kept_when_it_ends(mortal):
    version = mortal.publish(answering("green"), live=False)
    mortal.as_build("lambda", BUILD).update_alias(**NAME, Name="live", FunctionVersion=version)
    assert state.end(BUILD, green=True).released == version
    killed(mortal)
    assert (state.ask().version, mortal.get()[2]) == (version, b"green")


def test_green_build_whose_record_is_not_written_is_taken_back(mortal):
    """Its worker was killed in between: who goes on knows nothing of its end."""
    version = mortal.publish(answering("before"))
    new = mortal.publish(answering("new"), live=False)
    mortal.as_build("lambda", BUILD).update_alias(**NAME, Name="live", FunctionVersion=new)
    assert state.end(BUILD, green=True).released == new
    assert state.end(BUILD, green=False).taken_back[0]["FunctionVersion"] == new
    assert state.ask().version == version


def test_build_that_cannot_be_kept_is_not_released(mortal):
    """A file in the place of the folder stands for a full disk."""
    version = mortal.publish(answering("before"))
    new = mortal.publish(answering("cannot be kept"), live=False)
    mortal.as_build("lambda", BUILD).update_alias(**NAME, Name="live", FunctionVersion=new)
    folder = mortal.folder / "state"
    folder.rename(mortal.folder / "aside")
    folder.symlink_to("/proc/nothing")
    try:
        with pytest.raises(state.Mistake, match="its state cannot be written"):
            state.end(BUILD, green=True)
        assert state.ask().version == version
        with pytest.raises(botocore.exceptions.ClientError, match="state cannot be written"):
            mortal.client("ssm").put_parameter(Name="q", Type="String", Value="lost")
        mortal.client("ssm").get_parameter(Name="q")  # to ask needs no disk
    finally:
        folder.unlink()
        (mortal.folder / "aside").rename(folder)
    mortal.client("ssm").get_parameter(Name="q")  # whatever comes next writes it, too
    killed(mortal)
    assert mortal.client("ssm").get_parameter(Name="q")["Parameter"]["Value"] == "lost"


def broken(mortal, name, how):
    """Start the account with one file of its state broken; return its exit code and last words."""
    mortal.kill()
    folder, aside = mortal.folder / "state", mortal.folder / "whole"
    shutil.copytree(folder, aside)
    [path] = folder.rglob(name)
    how(path)
    try:
        with pytest.raises(AssertionError):
            mortal.start()
        log = (mortal.folder / "log").read_text().splitlines()
        return mortal.process.returncode, log[-1].partition(": ")[0], "Traceback" in "".join(log)
    finally:
        shutil.rmtree(folder)
        aside.rename(folder)
        (mortal.folder / "log").write_text("")
        mortal.start()


def cut(path):
    path.write_bytes(b"")


def cut_in_half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def of_a_newer_version(path):
    path.write_text(json.dumps(json.loads(path.read_text()) | {"__ministack_format__": 99}))


@pytest.mark.parametrize(
    "name, how",
    [
        ("lambda.json", cut),
        ("iam.json", of_a_newer_version),
        *[
            pytest.param(f"{name}.json", how, marks=pytest.mark.long)
            for name in SERVICES
            for how in (cut, cut_in_half, of_a_newer_version, Path.unlink)
        ],
    ],
)
def test_state_that_is_not_whole_is_named_and_not_read(mortal, name, how):
    assert broken(mortal, name, how) == (UNREADABLE, name, False)


def test_code_that_is_not_whole_is_named_and_not_read(mortal):
    mortal.publish(answering("code"))
    mortal.as_build("lambda", BUILD)
    codes = sorted((mortal.folder / "state" / "lambda-blobs").iterdir())
    for how in (cut, Path.unlink):
        assert broken(mortal, codes[0].name, how) == (UNREADABLE, codes[0].name, False)


def test_files_of_the_state_are_these(mortal):
    mortal.client("ssm").put_parameter(Name="p", Type="String", Value="any", Overwrite=True)
    state.end(BUILD, green=True)
    files = {path.name for path in (mortal.folder / "state").glob("*.json")}
    assert files == {f"{name}.json" for name in SERVICES}
