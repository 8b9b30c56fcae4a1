"""What the account's process tells the sandbox itself: the same as AWS's own API, and to nobody."""

import pytest
from lone_account import NAME, answering

from sandbox import Mistake
from sandbox.account import keys, state


@pytest.fixture
def asked(account, monkeypatch):
    monkeypatch.setattr(keys, "FILE", account.folder / "keys.json")
    monkeypatch.setattr(state, "endpoint", lambda: f"http://127.0.0.1:{account.port}")
    return account


def test_state_is_what_the_api_says(asked):
    version = asked.publish(answering("state"))
    found = state.ask()
    stacks = asked.client("cloudformation", keys.ROOT)
    [stack] = stacks.describe_stacks(StackName=state.STACK)["Stacks"]
    outputs = {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}
    assert found.outputs == outputs and outputs["FunctionName"] == "hello_user"
    assert [each["name"] for each in found.projects] == ["hello_user", "hello_user-tests"]
    for known in found.projects:
        name, group = known["name"], {"GroupName": f"/aws/codebuild/{known['name']}"}
        assert known["properties"]["LogsConfig"]["CloudWatchLogs"].items() >= group.items()
        [project] = asked.client("codebuild").batch_get_projects(names=[name])["projects"]
        shown = {"arn", "name", "serviceRole", "source", "environment", "timeoutInMinutes"}
        assert shown <= {key for key in project if known[key] == project[key]}
    assert found.version == version
    assert (found.weights, found.log_group) == ({}, "/aws/lambda/hello_user")
    functions = asked.client("lambda")
    share = {"AdditionalVersionWeights": {"1": 0.25}}
    functions.update_alias(**NAME, Name="live", FunctionVersion=version, RoutingConfig=share)
    assert (state.ask().version, state.ask().weights) == (version, {"1": 0.25})
    functions.update_alias(**NAME, Name="live", FunctionVersion="1", RoutingConfig={})
    first = functions.get_function_configuration(**NAME, Qualifier="1")
    assert (state.ask().version, state.ask().description) == ("1", first["Description"])


def test_state_without_an_alias_has_no_version(asked):
    functions = asked.client("lambda")
    functions.delete_alias(**NAME, Name="live")
    try:
        assert state.ask().version is None
    finally:
        functions.create_alias(**NAME, Name="live", FunctionVersion="1")


@pytest.mark.parametrize("proof", [None, "", "x", "ü", "0" * 64])
def test_state_is_told_to_nobody_else(asked, proof):
    headers = {} if proof is None else {state.HEADER: proof.encode()}
    status, _, body = asked.ask("GET", state.ROUTE, headers)
    assert (status, b"hello_user" in body) == (403, False)
    page = {state.HEADER: state.proof(state.ROUTE), "Origin": "http://evil.example"}
    assert asked.ask("GET", state.ROUTE, page)[0] == 403


def test_proof_does_not_give_the_key_away(asked):
    assert asked.keys[keys.ROOT][1] not in state.proof(state.ROUTE)


def test_account_that_does_not_answer_is_a_clear_error(asked, monkeypatch):
    monkeypatch.setattr(state, "endpoint", lambda: "http://127.0.0.1:9")
    with pytest.raises(Mistake, match=r"the account does not answer: .*refused"):
        state.ask()
