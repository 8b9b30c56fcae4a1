"""What somebody has deleted of the account, or a power cut has emptied: `up` makes it anew."""

from __future__ import annotations

import pytest

PARTS = (
    "FunctionLogs FunctionRole Function FirstVersion LiveAlias Api Integration Route Stage "
    "InvokePermission BuildLogs BuildRole BuildProject"
).split()


def released(someone, word) -> str:
    """Push a commit that answers with this word, and return its version."""
    someone.say(word)
    lines = someone.push()
    assert "SUCCEEDED" in lines[-1], lines
    return someone.live()


def delete(someone, part) -> None:
    """Delete a resource of the stack as a person would."""
    stacks = someone.client("cloudformation")
    listed = stacks.describe_stack_resources(StackName="hello-user")["StackResources"]
    ids = {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in listed}
    functions, apis = someone.client("lambda"), someone.client("apigatewayv2")
    roles, name = someone.client("iam"), {"FunctionName": "hello_user"}
    match part:
        case "FunctionLogs" | "BuildLogs":
            someone.client("logs").delete_log_group(logGroupName=ids[part])
        case "FunctionRole" | "BuildRole":
            for policy in roles.list_role_policies(RoleName=ids[part])["PolicyNames"]:
                roles.delete_role_policy(RoleName=ids[part], PolicyName=policy)
            roles.delete_role(RoleName=ids[part])
        case "Function":
            functions.delete_function(**name)
        case "FirstVersion":
            functions.delete_function(**name, Qualifier="1")
        case "LiveAlias":
            functions.delete_alias(**name, Name="live")
        case "Api":
            apis.delete_api(ApiId=ids["Api"])
        case "Integration":
            apis.delete_integration(ApiId=ids["Api"], IntegrationId=ids[part])
        case "Route":
            apis.delete_route(ApiId=ids["Api"], RouteId=ids[part].rpartition("/")[2])
        case "Stage":
            apis.delete_stage(ApiId=ids["Api"], StageName=ids[part])
        case "InvokePermission":
            functions.remove_permission(**name, Qualifier="live", StatementId=ids[part])
        case "BuildProject":
            someone.client("codebuild").delete_project(name=ids[part])


@pytest.mark.long
@pytest.mark.parametrize("part", PARTS)
def test_part_that_somebody_has_deleted_comes_back(quick, part):
    """A person's choice of a version stands, unless it has gone, too."""
    old, _ = released(quick, "old"), released(quick, "new")
    quick.client("lambda").update_alias(FunctionName="hello_user", Name="live", FunctionVersion=old)
    delete(quick, part)
    assert part == "FirstVersion" or f"has deleted it: {part}" in quick.up()
    assert quick.message() == ("new" if part in ("Function", "LiveAlias") else "old")
    quick.sandbox("build")
    assert quick.message() == "new"
    assert "Made anew" not in quick.up()


def test_parts_that_somebody_has_deleted_come_back(quick):
    released(quick, "whole")
    for part in ("Function", "Api", "BuildRole", "FunctionLogs"):
        delete(quick, part)
    quick.say("lost")
    assert quick.push()[-1].endswith(" FAULT: nothing was released, nothing is live")
    delete(quick, "BuildProject")
    said = quick.up()
    assert "has deleted it: " in said and "building the newest green commit again" in said
    assert (quick.message(), quick.builds()[-1]["status"]) == ("lost", "SUCCEEDED")


def test_walk_goes_through_all_parts_of_the_template(quick):
    stacks = quick.client("cloudformation")
    listed = stacks.describe_stack_resources(StackName="hello-user")["StackResources"]
    assert {each["LogicalResourceId"] for each in listed} == {*PARTS}
