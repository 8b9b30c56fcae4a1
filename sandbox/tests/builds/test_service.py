"""CodeBuild's API: the real AWS CLI shows and controls the very builds that pushes make."""

import json

import pytest
from botocore.exceptions import ClientError

from students import until

GROUPS = "arn:aws:codebuild:us-east-1:000000000000:report-group"
NAMES = ["SUBMITTED", "QUEUED", "PROVISIONING", "DOWNLOAD_SOURCE", "INSTALL", "PRE_BUILD", "BUILD"]
NAMES += ["POST_BUILD", "UPLOAD_ARTIFACTS", "FINALIZING", "COMPLETED"]


def codebuild(someone, *words):
    return json.loads(someone.aws("codebuild", *words).stdout)


def get(someone, build_id):
    found = someone.client("codebuild").batch_get_builds(ids=[build_id])
    [build] = found["builds"]
    assert found["buildsNotFound"] == []
    return build


def push_unbuilt(someone):
    no_hook = "git -c core.hooksPath=/dev/null receive-pack"
    someone.git("push", "-q", "--receive-pack", no_hook, "sandbox")


def ended(someone, build_id):
    return someone.wait_for(lambda: (build := get(someone, build_id))["buildComplete"] and build)


def test_builds_of_pushes_are_codebuild_s(quick):
    commit = quick.say("asked for by a push")
    quick.push()
    record = quick.builds()[-1]
    ids = codebuild(quick, "list-builds-for-project", "--project-name", "hello_user")["ids"]
    assert len(ids) == len([each for each in quick.builds() if each["project"] == "hello_user"])
    assert ids[0] == f"hello_user:{record['id']}"
    found = codebuild(quick, "batch-get-builds", "--ids", ids[0], "hello_user:none")
    assert found["buildsNotFound"] == ["hello_user:none"]
    [build] = found["builds"]
    assert (build["buildNumber"], build["buildStatus"]) == (record["number"], "SUCCEEDED")
    assert (build["sourceVersion"], build["resolvedSourceVersion"]) == (commit, commit)
    assert build["initiator"].startswith("GitHub-Hookshot/")
    assert build["logs"]["groupName"] == "/aws/codebuild/hello_user"
    assert build["logs"]["streamName"] == record["id"]
    assert [phase["phaseType"] for phase in build["phases"]] == NAMES
    assert all(phase["phaseStatus"] == "SUCCEEDED" for phase in build["phases"][:-1])
    assert "phaseStatus" not in build["phases"][-1]


def test_started_build_is_a_real_one_and_a_red_one_says_why(quick):
    quick.say("red", "exit 3")
    quick.push()
    word = quick.message()
    started = quick.client("codebuild").start_build(projectName="hello_user")["build"]
    assert (started["buildStatus"], started["currentPhase"]) == ("IN_PROGRESS", "QUEUED")
    build = ended(quick, started["id"])
    assert (build["buildStatus"], build["sourceVersion"]) == ("FAILED", "main")
    [failed] = [phase for phase in build["phases"] if phase.get("phaseStatus") == "FAILED"]
    assert failed["phaseType"] == "PRE_BUILD"
    [context] = failed["contexts"]
    assert context["statusCode"] == "COMMAND_EXECUTION_ERROR"
    assert context["message"].endswith("Reason: exit status 3")
    assert quick.message() == word


def test_stopped_build_releases_nothing_and_can_be_tried_again(quick):
    before, old = quick.live(), quick.message()
    commit = quick.say("stopped", "test -e ~/go || sleep 300")
    push_unbuilt(quick)
    builds, asked = (
        quick.client("codebuild"),
        {"projectName": "hello_user", "sourceVersion": commit},
    )
    running = builds.start_build(**asked)["build"]["id"]
    waiting = builds.start_build(**asked)["build"]["id"]
    quick.wait_for(lambda: get(quick, running)["currentPhase"] == "PRE_BUILD")
    assert get(quick, waiting)["currentPhase"] == "QUEUED"
    stopped = builds.stop_build(id=waiting)["build"]
    assert stopped["buildStatus"] == "IN_PROGRESS"  # until its turn comes
    stopped = builds.stop_build(id=running)["build"]
    assert (stopped["buildStatus"], stopped["buildComplete"]) == ("STOPPED", True)
    statuses = {phase["phaseType"]: phase.get("phaseStatus") for phase in stopped["phases"]}
    assert statuses["PRE_BUILD"] == "STOPPED"
    assert ended(quick, waiting)["buildStatus"] == "STOPPED"
    assert (quick.live(), quick.message()) == (before, old)
    again = builds.retry_build(id=running)["build"]
    assert again["resolvedSourceVersion"] == commit
    builds.stop_build(id=again["id"])
    assert ended(quick, again["id"])["buildStatus"] == "STOPPED"


@pytest.mark.parametrize(
    "asked, said",
    [
        ({"projectName": "other"}, r"\(ResourceNotFoundException\)"),
        ({"sourceVersion": "none"}, r"\(InvalidInputException\)"),
        ({"imageOverride": "x"}, "imageOverride"),
        ({"sourceLocationOverride": "https://x"}, "source"),
        ({"environmentVariablesOverride": [{"name": "A=B", "value": "c"}]}, "cannot be a variable"),
    ],
    ids=["project", "version", "image", "source", "variable"],
)
def test_what_cannot_be_started_is_refused_as_on_aws(quick, asked, said):
    count = len(quick.builds())
    with pytest.raises(ClientError, match=said):
        quick.client("codebuild").start_build(**{"projectName": "hello_user"} | asked)
    assert len(quick.builds()) == count


def test_build_that_there_is_not_is_not_stopped(quick):
    with pytest.raises(ClientError, match=r"\(ResourceNotFoundException\)"):
        quick.client("codebuild").stop_build(id="x:y")


def test_build_of_a_github_action_runs_and_its_log_grows(quick):
    """What aws-actions/aws-codebuild-run-build asks for, and how it reads the log."""
    go = quick.clone / "go"
    quick.say("asked by an action", f'echo "$STAGE $ALIAS_NAME" && {until(go)}')
    push_unbuilt(quick)
    builds, logs = quick.client("codebuild"), quick.client("logs")
    [project] = builds.batch_get_projects(names=["hello_user"])["projects"]
    asked = {
        "projectName": "hello_user",
        "sourceVersion": "main",
        "sourceTypeOverride": project["source"]["type"],
        "sourceLocationOverride": project["source"]["location"].removesuffix(".git"),
        "environmentVariablesOverride": [
            {"name": "STAGE", "value": "beta", "type": "PLAINTEXT"},
            {"name": "ALIAS_NAME", "value": "mine"},
        ],
        "idempotencyToken": "once",
    }
    started = builds.start_build(**asked)["build"]
    assert builds.start_build(**asked)["build"]["id"] == started["id"]
    assert started["logs"]["cloudWatchLogsArn"].endswith(":log-group:null:log-stream:null")
    assert started["logs"]["deepLink"].endswith("#logEvent:group=null;stream=null")
    own = {each["name"]: each["value"] for each in started["environment"]["environmentVariables"]}
    assert (own["STAGE"], own["ALIAS_NAME"], own["FUNCTION_NAME"]) == ("beta", "mine", "hello_user")
    names = {"logGroupName": "/aws/codebuild/hello_user",
             "logStreamName": started["id"].partition(":")[2]}  # fmt: skip

    def said():
        if get(quick, started["id"])["logs"].get("streamName") is None:
            return ""
        events = logs.get_log_events(**names, startFromHead=True)["events"]
        return "\n".join(event["message"] for event in events)

    quick.wait_for(lambda: said().endswith("\nbeta mine"))
    running = get(quick, started["id"])
    assert running["buildComplete"] is False
    arn = f":log-group:{names['logGroupName']}:log-stream:{names['logStreamName']}"
    assert running["logs"]["cloudWatchLogsArn"].endswith(arn)
    go.touch()
    assert ended(quick, started["id"])["buildStatus"] == "SUCCEEDED"
    assert said().splitlines() == [line or " " for line in quick.log().splitlines()]
    other = builds.start_build(**asked | {"sourceVersion": "", "environmentVariablesOverride": []})
    assert other["build"]["id"] != started["id"]
    builds.stop_build(id=other["build"]["id"])
    ended(quick, other["build"]["id"])
    go.unlink()


def test_report_groups_are_listed_and_deleted_as_in_chapter_8(quick):
    quick.say("reports", "echo \"<testsuite><testcase name='a'/></testsuite>\" > a.xml")
    text = (quick.clone / "buildspec.yml").read_text()
    reports = "reports:\n  tests:\n    files: a.xml\n  more:\n    files: a.xml\n"
    quick.write("buildspec.yml", text + reports)
    quick.commit("Report")
    quick.push()
    record = quick.builds()[-1]
    builds = quick.client("codebuild")
    groups = builds.list_report_groups()["reportGroups"]
    tests, more = (f"{GROUPS}/hello_user-{name}" for name in ("tests", "more"))
    assert groups[:2] == [tests, more]
    arn = f"{GROUPS[: -len('-group')]}/hello_user-tests:{record['id']}"
    listed = builds.list_reports_for_report_group(reportGroupArn=tests)
    assert arn in listed["reports"]
    assert arn in builds.list_reports(filter={"status": "SUCCEEDED"})["reports"]
    assert arn not in builds.list_reports(filter={"status": "FAILED"})["reports"]
    assert arn in get(quick, f"hello_user:{record['id']}")["reportArns"]
    found = codebuild(quick, "batch-get-reports", "--report-arns", arn, "x")
    assert found["reportsNotFound"] == ["x"]
    [report] = found["reports"]
    assert (report["status"], report["type"], report["reportGroupArn"]) == (
        "SUCCEEDED",
        "TEST",
        tests,
    )
    assert report["testSummary"] == {"total": 1, "statusCounts": {"SUCCEEDED": 1}}
    with pytest.raises(ClientError, match=r"\(InvalidInputException\)"):
        builds.delete_report_group(arn=tests)
    said = quick.aws("codebuild", "delete-report-group", "--delete-reports", "--arn", tests)
    assert said.stdout == ""
    left = builds.list_report_groups()["reportGroups"]
    assert tests not in left and more in left
    cases = quick.clone / ".sandbox" / "builds" / str(record["number"]) / "reports.json"
    assert [each["group"] for each in json.loads(cases.read_text())] == ["hello_user-more"]
    quick.say("green after reports")
    quick.push()
