"""Each line of template.yml and buildspec.yml that AWS needs and the emulator does not check."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sandbox.account.template import (
    TemplateLoader,
    load,
    project_properties,
)
from sandbox.codebuild.project import filter_groups, passed_over
from sandbox.laptop.paths import ROOT

FILE = ROOT / "template.yml"


class BothBranches(TemplateLoader):
    """Read the template with each If as it stands."""

    def short_form(self, name, node):
        if isinstance(node, yaml.SequenceNode):
            return {name: self.construct_sequence(node, deep=True)}
        return super().short_form(name, node)


BothBranches.add_multi_constructor("!", BothBranches.short_form)
TEMPLATE = yaml.load(FILE.read_text(), BothBranches)
RESOURCES = TEMPLATE["Resources"]
LOG_GROUP = "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:"


def properties(name: str) -> dict:
    return RESOURCES[name]["Properties"]


def of_type(kind: str) -> list[str]:
    return [name for name, resource in RESOURCES.items() if resource["Type"] == kind]


def statements(name: str) -> list[dict]:
    """Return the statements of a role's policies, each with the connection's branch of an If."""
    found = [
        statement
        for policy in properties(name)["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
    ]
    return [statement.get("If", [None, statement])[1] for statement in found]


def as_list(value) -> list:
    return value if isinstance(value, list) else [value]


def test_template_passes_cfn_lint_with_informational_rules():
    done = subprocess.run(
        [Path(sys.prefix) / "bin" / "cfn-lint", "--include-checks", "I", "--", FILE],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_template_ignores_no_rule():
    assert "cfn-lint" not in FILE.read_text()
    assert "Metadata" not in TEMPLATE and not any(
        "Metadata" in resource for resource in RESOURCES.values()
    )


def test_template_is_short_enough_for_deploy_without_a_bucket():
    assert FILE.stat().st_size < 51_200


def test_invoke_permission_is_for_the_alias_and_one_route():
    assert properties("InvokePermission") == {
        "FunctionName": {"Ref": "LiveAlias"},
        "Action": "lambda:InvokeFunction",
        "Principal": "apigateway.amazonaws.com",
        "SourceArn": {
            "Sub": "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}"
            "/default/GET/hello_user"
        },
    }
    assert properties("Stage")["StageName"] == "default"
    assert properties("Route")["RouteKey"] == "GET /hello_user"
    assert of_type("AWS::Lambda::Permission") == ["InvokePermission"]


def test_stage_deploys_by_itself():
    assert properties("Stage")["AutoDeploy"] is True


def test_integration_is_the_alias_with_payload_2():
    found = properties("Integration")
    assert found["IntegrationUri"] == {"Ref": "LiveAlias"}
    assert (found["IntegrationType"], found["PayloadFormatVersion"]) == ("AWS_PROXY", "2.0")
    assert properties("Route")["Target"] == {"Sub": "integrations/${Integration}"}


def test_webhook_builds_pushes_to_main_only():
    condition, triggers, otherwise = properties("BuildProject")["Triggers"]["If"]
    assert condition == "HasConnection"
    assert triggers == {
        "Webhook": True,
        "FilterGroups": [
            [
                {"Type": "EVENT", "Pattern": "PUSH"},
                {"Type": "HEAD_REF", "Pattern": "^refs/heads/main$"},
            ]
        ],
    }
    assert otherwise == {"Ref": "AWS::NoValue"}


def test_source_needs_the_connection_only_with_a_webhook():
    source = properties("BuildProject")["Source"]
    assert source["Auth"] == {
        "If": [
            "HasConnection",
            {"Type": "CODECONNECTIONS", "Resource": {"Ref": "ConnectionArn"}},
            {"Ref": "AWS::NoValue"},
        ]
    }
    assert (source["Type"], source["GitCloneDepth"], source["BuildSpec"]) == (
        "GITHUB",
        1,
        "buildspec.yml",
    )
    assert TEMPLATE["Parameters"]["ConnectionArn"]["Default"] == ""
    assert TEMPLATE["Conditions"]["HasConnection"] == {
        "Not": [{"Equals": [{"Ref": "ConnectionArn"}, ""]}]
    }


@pytest.mark.parametrize(
    "value, fits",
    [
        ("", True),
        (
            "arn:aws:codeconnections:us-east-1:123456789012:connection/0a1b2c3d-1111-2222-3333-444455556666",
            True,
        ),
        ("arn:aws:codestar-connections:us-east-1:123456789012:connection/0a1b2c3d", False),
        ("https://github.com/you/hello", False),
    ],
)
def test_connection_arn_is_checked_before_the_deploy(value, fits):
    assert bool(re.search(TEMPLATE["Parameters"]["ConnectionArn"]["AllowedPattern"], value)) is fits


@pytest.mark.parametrize(
    "role, service",
    [("FunctionRole", "lambda"), ("BuildRole", "codebuild"), ("TestRole", "codebuild")],
)
def test_role_trusts_one_service(role, service):
    [statement] = properties(role)["AssumeRolePolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Action"]) == ("Allow", "sts:AssumeRole")
    assert statement["Principal"] == {"Service": f"{service}.amazonaws.com"}


@pytest.mark.parametrize("role", ["BuildRole", "TestRole"])
def test_build_role_trusts_codebuild_for_this_account_only(role):
    [statement] = properties(role)["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Condition"] == {
        "StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
    }


def test_policies_have_no_wildcard():
    roles = of_type("AWS::IAM::Role")
    assert sorted(roles) == ["BuildRole", "FunctionRole", "TestRole"]
    for statement in [statement for role in roles for statement in statements(role)]:
        assert (
            statement["Effect"] == "Allow"
            and "NotAction" not in statement
            and "NotResource" not in statement
        )
        assert not any("*" in action for action in as_list(statement["Action"]))
        for resource in as_list(statement["Resource"]):
            text = resource.get("Sub", "") if isinstance(resource, dict) else resource
            if statement.get("Sid") == "TryTheNewVersion":
                # A version that is not published yet has a number that nobody knows.
                text = text.removesuffix(":*")
            if statement.get("Sid") == "ReportTheTests":
                # The project's own groups, as in CodeBuild's own policy for its role:
                # https://docs.aws.amazon.com/codebuild/latest/userguide/test-permissions.html
                text = text.removesuffix("-*")
            # The streams of one log group have names that the service chooses.
            assert "*" not in re.sub(r"log-group:\$\{\w+\}:\*$", "", text)
    for role in roles:
        assert "ManagedPolicyArns" not in properties(role)
    assert of_type("AWS::IAM::Policy") + of_type("AWS::IAM::ManagedPolicy") == []


def test_build_role_may_release_the_function_and_write_its_log():
    named = {statement["Sid"]: statement for statement in statements("BuildRole")}
    release = named["ReleaseTheFunction"]
    # GetFunction is what `wait function-updated-v2` asks; without it the waiter ends with 255.
    assert sorted(release["Action"]) == [
        "lambda:GetFunction",
        "lambda:PublishVersion",
        "lambda:UpdateAlias",
        "lambda:UpdateFunctionCode",
    ]
    assert release["Resource"] == {"GetAtt": "Function.Arn"}
    assert named["WriteTheBuildLog"]["Resource"] == [
        {"Sub": LOG_GROUP + "${BuildLogs}"},
        {"Sub": LOG_GROUP + "${BuildLogs}:*"},
    ]
    assert named["FetchTheSource"]["Resource"] == {"Ref": "ConnectionArn"}
    assert named["TryTheNewVersion"] == {
        "Sid": "TryTheNewVersion",
        "Effect": "Allow",
        "Action": "lambda:InvokeFunction",
        "Resource": {"Sub": "${Function.Arn}:*"},  # IAM has no narrower word for a version
    }
    known = ["FetchTheSource", "ReleaseTheFunction", "ReportTheTests", "TryTheNewVersion"]
    assert sorted(named) == [*known, "WriteTheBuildLog"]


def test_build_role_may_report_to_the_groups_of_the_project_only():
    # https://docs.aws.amazon.com/codebuild/latest/userguide/test-permissions.html
    [found] = [item for item in statements("BuildRole") if item["Sid"] == "ReportTheTests"]
    assert sorted(found["Action"]) == [
        "codebuild:BatchPutCodeCoverages",
        "codebuild:BatchPutTestCases",
        "codebuild:CreateReport",
        "codebuild:CreateReportGroup",
        "codebuild:UpdateReport",
    ]
    name = f"{properties('BuildProject')['Name']}-*"
    account = "arn:${AWS::Partition}:codebuild:${AWS::Region}:${AWS::AccountId}"
    assert found["Resource"] == {"Sub": f"{account}:report-group/{name}"}


def test_role_of_the_tests_may_release_nothing():
    named = {statement["Sid"]: statement for statement in statements("TestRole")}
    assert sorted(named) == ["FetchTheSource", "ReportTheTests", "WriteTheBuildLog"]
    assert named["WriteTheBuildLog"]["Resource"] == [
        {"Sub": LOG_GROUP + "${TestLogs}"},
        {"Sub": LOG_GROUP + "${TestLogs}:*"},
    ]
    name = f"{properties('TestProject')['Name']}-*"
    assert named["ReportTheTests"]["Resource"]["Sub"].endswith(f":report-group/{name}")
    services = {action.split(":")[0] for each in named.values() for action in each["Action"]}
    assert services == {"logs", "codebuild", "codeconnections"}


def test_project_of_the_tests_builds_every_branch_but_main():
    found = properties("TestProject")
    condition, triggers, otherwise = found["Triggers"]["If"]
    assert (condition, otherwise) == ("HasConnection", {"Ref": "AWS::NoValue"})
    [filters] = triggers["FilterGroups"]
    every, but_main = [each for each in filters if each["Type"] == "HEAD_REF"]
    assert every == {"Type": "HEAD_REF", "Pattern": "^refs/heads/"}
    [main] = [
        each
        for [group] in [properties("BuildProject")["Triggers"]["If"][1]["FilterGroups"]]
        for each in group
        if each["Type"] == "HEAD_REF"
    ]
    assert but_main == main | {"ExcludeMatchedPattern": True}
    # Two builds of one commit would hide each other beside it on GitHub.
    assert found["Source"]["BuildStatusConfig"] == {"Context": "tests"}


def test_project_of_the_tests_says_what_buildspec_yml_says():
    whole = yaml.safe_load((ROOT / "buildspec.yml").read_text())
    ours = yaml.safe_load(properties("TestProject")["Source"]["BuildSpec"])
    assert (ours["version"], ours["reports"]) == (whole["version"], whole["reports"])
    for name, phase in ours["phases"].items():
        commands = whole["phases"][name].get("commands", [])
        assert {**whole["phases"][name], "commands": commands[:1]} | phase == {
            **phase,
            "commands": commands[:1],
        }
    same = ("ServiceRole", "Triggers", "Source", "Name", "LogsConfig", "Environment")
    one, other = properties("BuildProject"), properties("TestProject")
    assert {key: one[key] for key in one if key not in same} == {
        key: other[key] for key in other if key not in same
    }
    machine = dict(one["Environment"])
    del machine["EnvironmentVariables"]  # which name the function and its alias
    assert other["Environment"] == machine


def test_function_role_may_write_its_log_only():
    [statement] = statements("FunctionRole")
    assert statement["Action"] == ["logs:CreateLogStream", "logs:PutLogEvents"]
    assert statement["Resource"] == {"Sub": LOG_GROUP + "${FunctionLogs}:*"}


def test_build_machine_is_the_smallest_and_supported():
    found = properties("BuildProject")["Environment"]
    assert (found["Type"], found["ComputeType"]) == ("LINUX_CONTAINER", "BUILD_GENERAL1_SMALL")
    # Images that AWS maintains: https://github.com/aws/aws-codebuild-docker-images
    assert found["Image"] in (
        "aws/codebuild/standard:8.0",
        "aws/codebuild/amazonlinux-x86_64-standard:6.0",
    )
    assert found["ImagePullCredentialsType"] == "CODEBUILD"
    assert properties("BuildProject")["Artifacts"] == {"Type": "NO_ARTIFACTS"}
    assert 5 <= properties("BuildProject")["TimeoutInMinutes"] <= 30


def test_runtime_is_the_same_in_function_and_build():
    spec = yaml.safe_load((ROOT / "buildspec.yml").read_text())
    python = spec["phases"]["install"]["runtime-versions"]["python"]
    assert isinstance(python, str)  # unquoted, 3.10 would be the number 3.1
    assert properties("Function")["Runtime"] == f"python{python}" and python in (
        "3.12",
        "3.13",
        "3.14",
    )


@pytest.mark.parametrize(
    "group, name, owner",
    [
        ("FunctionLogs", "/aws/lambda/hello_user", "Function"),
        ("BuildLogs", "/aws/codebuild/hello_user", "BuildProject"),
    ],
)
def test_log_group_is_the_stacks_and_goes_with_it(group, name, owner):
    assert properties(group) == {"LogGroupName": name, "RetentionInDays": 14}
    assert RESOURCES[group]["DeletionPolicy"] == RESOURCES[group]["UpdateReplacePolicy"] == "Delete"
    # A group that the service makes itself first would stop the stack, and stay after it.
    assert json.dumps({"Ref": group}) in json.dumps(properties(owner))
    assert properties("BuildProject")["LogsConfig"]["CloudWatchLogs"]["Status"] == "ENABLED"


def test_first_version_outlives_its_resource():
    assert of_type("AWS::Lambda::Version") == ["FirstVersion"]
    assert (
        RESOURCES["FirstVersion"]["DeletionPolicy"]
        == RESOURCES["FirstVersion"]["UpdateReplacePolicy"]
        == "Retain"
    )
    retained = [
        name for name, resource in RESOURCES.items() if resource.get("DeletionPolicy") == "Retain"
    ]
    assert retained == ["FirstVersion"]  # nothing else may stay behind and cost money


def test_alias_has_nothing_that_a_deploy_could_change():
    assert properties("LiveAlias") == {
        "Name": "live",
        "FunctionName": {"Ref": "Function"},
        "FunctionVersion": {"GetAtt": "FirstVersion.Version"},
    }


def test_function_handler_is_in_the_file_that_the_build_zips():
    module, function = properties("Function")["Handler"].split(".")
    assert f"\ndef {function}(event, context):" in (ROOT / f"{module}.py").read_text()
    commands = yaml.safe_load((ROOT / "buildspec.yml").read_text())["phases"]["build"]["commands"]
    assert commands[-1] == f"python -m zipfile -c hello_user.zip {module}.py"


def test_project_gives_the_build_its_names():
    given = {
        item["Name"]: item["Value"]
        for item in properties("BuildProject")["Environment"]["EnvironmentVariables"]
    }
    assert given == {
        "FUNCTION_NAME": {"Ref": "Function"},
        "ALIAS_NAME": properties("LiveAlias")["Name"],
    }
    spec = yaml.safe_load((ROOT / "buildspec.yml").read_text())
    assert spec["env"]["variables"] == {
        "FUNCTION_NAME": properties("Function")["FunctionName"],
        "ALIAS_NAME": "live",
    }


def test_buildspec_tests_before_it_builds_and_guards_the_release():
    text = (ROOT / "buildspec.yml").read_text()
    spec = yaml.safe_load(text)
    assert len(text.splitlines()) < 40
    assert list(spec["phases"]) == ["install", "pre_build", "build", "post_build"]
    phases = spec["phases"]
    assert phases["pre_build"]["commands"] == ["pip install --quiet -r requirements.txt"]
    # CodeBuild reads reports in UPLOAD_ARTIFACTS, which a failed pre_build never reaches.
    [report] = spec["reports"].values()
    assert phases["build"]["commands"][0] == f"pytest --junitxml={report['files']}"
    assert report["file-format"] == "JUNITXML"
    guard, *release = spec["phases"]["post_build"]["commands"]
    assert guard == 'test "$CODEBUILD_BUILD_SUCCEEDING" = 1'
    steps = [
        step
        for command in release
        for step in re.findall(r"aws lambda ([\w-]+(?: function-updated-v2)?)", command)
    ]
    # A publish right after an update ends in ResourceConflictException, hence the waiter.
    assert steps == [
        "update-function-code",
        "wait function-updated-v2",
        "publish-version",
        "invoke",
        "update-alias",
    ]
    _, _, publish, invoke, judge, _ = release
    assert '--description "$CODEBUILD_RESOLVED_SOURCE_VERSION"' in publish
    # fileb:// is raw bytes to both versions of aws; version 2 takes anything else for base64.
    assert '--qualifier "$VERSION" --payload fileb://event.json answer.json' in invoke
    assert judge.startswith("cat answer.json && ") and '["statusCode"] == 200' in judge


def test_smoke_test_sends_an_event_of_the_apis_form():
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html"""
    event = json.loads((ROOT / "event.json").read_text())
    path = f"/{properties('Stage')['StageName']}/hello_user"
    assert (event["version"], event["rawPath"]) == (
        properties("Integration")["PayloadFormatVersion"],
        path,
    )
    context = event["requestContext"]
    assert event["routeKey"] == context["routeKey"] == properties("Route")["RouteKey"]
    assert context["stage"] == properties("Stage")["StageName"]
    assert {"method": "GET", "path": path}.items() <= context["http"].items()
    assert {*context["http"]} == {"method", "path", "protocol", "sourceIp", "userAgent"}
    assert {*context} == {
        *("accountId", "apiId", "domainName", "domainPrefix", "http"),
        *("requestId", "routeKey", "stage", "time", "timeEpoch"),
    }
    assert event["rawQueryString"] == "" and "queryStringParameters" not in event


def test_requirements_are_pinned():
    lines = (ROOT / "requirements.txt").read_text().split()
    assert lines and all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines)


def project_with(text: str) -> dict:
    """Return a template whose project has these properties."""
    indented = text.replace("\n", "\n      ")
    return load(
        "Resources:\n  P:\n    Type: AWS::CodeBuild::Project\n    Properties:\n"
        f"      Name: x\n      {indented}\n"
    )


@pytest.mark.parametrize(
    "text, names",
    [
        ("Cache: {Type: LOCAL, Modes: [LOCAL_SOURCE_CACHE]}", ["Cache"]),
        ("Cache: {Type: NO_CACHE}", []),
        ("VpcConfig: {VpcId: !Ref Vpc}\nAutoRetryLimit: 2", ["VpcConfig", "AutoRetryLimit"]),
        ("ConcurrentBuildLimit: 1\nBadgeEnabled: true", ["ConcurrentBuildLimit", "BadgeEnabled"]),
        ("SecondarySources: [{Type: GITHUB}]", ["SecondarySources"]),
        ("EncryptionKey: !GetAtt Key.Arn\nNoSuchThing: {A: 1}", ["EncryptionKey", "NoSuchThing"]),
        (
            "Source:\n  Type: GITHUB\n  GitSubmodulesConfig: {FetchSubmodules: true}\n"
            "  ReportBuildStatus: true",
            ["Source.GitSubmodulesConfig", "Source.ReportBuildStatus"],
        ),
        ("Source:\n  GitSubmodulesConfig: {FetchSubmodules: false}\n  Auth: {Type: OAUTH}", []),
        ("Environment: {PrivilegedMode: true, Image: x}", ["Environment.PrivilegedMode"]),
        ("LogsConfig: {CloudWatchLogs: {Status: ENABLED}, S3Logs: {Status: DISABLED}}", []),
        ("LogsConfig: {CloudWatchLogs: {StreamName: x}}", ["LogsConfig.CloudWatchLogs.StreamName"]),
        ("Triggers: {Webhook: true, BuildType: BUILD_BATCH}", ["Triggers.BuildType"]),
        ("Tags: [{Key: a, Value: b}]", []),
    ],
)
def test_properties_that_no_build_here_honours_are_named(text, names):
    assert passed_over(project_properties(project_with(text))) == tuple(names)


def test_tutorial_s_projects_have_nothing_that_is_passed_over():
    found = load((ROOT / "template.yml").read_text())["Resources"].values()
    projects = [each for each in found if each["Type"] == "AWS::CodeBuild::Project"]
    assert [passed_over(each["Properties"]) for each in projects] == [(), ()]


@pytest.mark.parametrize(
    "triggers, groups",
    [
        ("", []),
        ("Triggers: {Webhook: true}", [[]]),
        ("Triggers: {Webhook: 'true', FilterGroups: []}", [[]]),
        ("Triggers: {Webhook: false, FilterGroups: [[{Type: EVENT}]]}", []),
        ("Triggers: {Webhook: true, FilterGroups: [[{Type: EVENT}]]}", [[{"Type": "EVENT"}]]),
    ],
)
def test_webhook_without_filters_builds_every_push(triggers, groups):
    # https://docs.aws.amazon.com/codebuild/latest/userguide/github-webhook.html
    assert filter_groups(project_properties(project_with(triggers))) == groups
