"""What somebody has deleted of the account, or a power cut has emptied: `up` makes it anew."""

from __future__ import annotations

import contextlib
import re
import stat

import psutil
import pytest

from sandbox.laptop.paths import outside

PARTS = (
    "FunctionLogs FunctionRole Function FirstVersion LiveAlias Api Integration Route Stage "
    "InvokePermission BuildLogs BuildRole BuildProject TestLogs TestRole TestProject"
).split()


SAMPLES = ("/ready", "pyvenv.cfg", "bin/uv", "bin/pip", "ministack/app.py", "yaml/__init__.py")


def delete(someone, part) -> None:
    """Delete a resource of the stack as a person would."""
    stacks = someone.client("cloudformation")
    listed = stacks.describe_stack_resources(StackName="hello-user")["StackResources"]
    ids = {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in listed}
    functions, apis = someone.client("lambda"), someone.client("apigatewayv2")
    roles, name = someone.client("iam"), {"FunctionName": "hello_user"}
    match part:
        case "FunctionLogs" | "BuildLogs" | "TestLogs":
            someone.client("logs").delete_log_group(logGroupName=ids[part])
        case "FunctionRole" | "BuildRole" | "TestRole":
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
        case "BuildProject" | "TestProject":
            someone.client("codebuild").delete_project(name=ids[part])


@pytest.mark.long
@pytest.mark.parametrize("part", PARTS)
def test_part_that_somebody_has_deleted_comes_back(quick, part):
    """A person's choice of a version stands, unless it has gone, too."""
    old, _ = quick.release("old"), quick.release("new")
    quick.move_live(old)
    delete(quick, part)
    assert part == "FirstVersion" or f"has deleted it: {part}" in quick.up()
    assert quick.message() == ("new" if part in ("Function", "LiveAlias") else "old")
    quick.sandbox("build")
    assert quick.message() == "new"
    assert "Made anew" not in quick.up()


def test_parts_that_somebody_has_deleted_come_back(quick):
    quick.release("whole")
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


def power_cut(someone, *names) -> str:
    """Kill all processes, leave files below .sandbox/ empty, and return what `up` says."""
    folder = someone.clone / ".sandbox"
    for process in psutil.process_iter(["cmdline"]):
        if str(folder) in " ".join(process.info["cmdline"] or []):
            with contextlib.suppress(psutil.Error):
                process.kill()
                process.wait(10)
    for name in names:
        (folder / name).unlink()  # it may be one with a file of uv's cache
        (folder / name).write_bytes(b"")
    done = someone.sandbox("up")
    assert "Traceback" not in done.stderr
    return done.stderr


def files_of(someone) -> dict[str, str]:
    """Return each kind of regular file below .sandbox/ that has something in it, and one of it.

    For the files of Python environments, of which there are thousands, some stand.
    """
    folder, found = someone.clone / ".sandbox", {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if re.match("(venv|packages/empty|packages/full)/", name) and not name.endswith(SAMPLES):
            continue
        with contextlib.suppress(FileNotFoundError):  # what the worker makes comes and goes
            if stat.S_ISREG((now := path.lstat()).st_mode) and now.st_size:
                kind = re.sub(r"/[0-9a-f]{2}/[0-9a-f]{38}$|[0-9a-f]{40,}|tmp\w{8}", "…", name)
                found[re.sub(r"\d+", "N", kind)] = name
    return found


def test_rollback_and_the_log_outlive_a_kill(quick):
    old, _ = quick.release("old"), quick.release("new")
    quick.move_live(old)
    power_cut(quick)
    assert (quick.live(), quick.message()) == (old, "old")
    stream = {"logStreamNames": [quick.builds()[-1]["id"]]}
    found = quick.client("logs").filter_log_events(
        logGroupName="/aws/codebuild/hello_user", **stream
    )
    assert "Phase complete: POST_BUILD" in "".join(event["message"] for event in found["events"])


def test_power_cut_leaves_what_up_can_mend(quick):
    quick.release("whole")
    blobs = (quick.clone / ".sandbox" / "account" / "state" / "lambda-blobs").iterdir()
    newest = max(blobs, key=lambda blob: blob.stat().st_mtime)
    said = power_cut(
        quick,
        f"account/state/lambda-blobs/{newest.name}",
        "packages/settings.json",
        "fork.git/refs/heads/main",
    )
    assert f"The account's state cannot be read and is made anew: {newest.name}" in said
    assert "The fork is broken: it is made anew from this clone" in said
    assert "building the newest green commit again" in said
    assert quick.message() == "whole"


@pytest.mark.long
def test_up_mends_whichever_file_a_power_cut_has_emptied(quick):
    quick.release("whole")
    done = set()
    while left := {kind: name for kind, name in files_of(quick).items() if kind not in done}:
        kind, name = next(iter(left.items()))
        done.add(kind)
        power_cut(quick, name)
        assert quick.message() == "whole", name
        assert quick.sandbox("status").stderr == "", name
    wanted = {"account/state/lambda.json", "account/keys.json", "fork.git/HEAD", "bin/aws"}
    assert {*wanted, "venv/ready", "packages/empty.json", "builds/N/build.json"} <= done


def put_link(path, elsewhere):
    path.symlink_to(elsewhere)


def put_file(path, elsewhere):
    path.write_text("no folder")


def put_nothing(path, elsewhere):
    """Leave the place empty."""


# Each folder of ours, but what git, uv or MiniStack has made within one of theirs.
FOLDERS = (
    *(".", "account", "account/home", "account/tmp", "account/state", "bin", "builds"),
    *(
        "account/state/lambda-blobs",
        "account/tmp/environments",
        "fork.git",
        "fork.git/hooks",
        "fork.git/objects",
    ),
    *("fork.git/objects/pack", "fork.git/refs", "fork.git/refs/heads", "packages"),
    *("packages/empty", "packages/full", "venv", "venv/bin", "venv/lib", "outside"),
)


def comes_right(someone, name, put, elsewhere) -> None:
    """Put something into the place of a folder, and check that all is well after `up`."""
    folder, word = someone.clone / ".sandbox" / name, f"{put.__name__} {name}"
    if name == "outside":
        folder = outside(someone.clone.resolve())
    (elsewhere / "anybody's").mkdir(exist_ok=True)
    folder.rename(someone.home / f"was {put.__name__} {name}".replace("/", " "))
    put(folder, elsewhere)
    someone.up()
    someone.say(word)
    lines = someone.push()
    assert "SUCCEEDED" in lines[-1], (word, lines)
    assert someone.message() == word
    assert [path.name for path in elsewhere.iterdir()] == ["anybody's"]


@pytest.mark.parametrize(
    "put, name",
    [
        *[(put_link, "account/home"), (put_file, "packages/empty"), (put_nothing, "outside")],
        *[(put_file, "builds"), (put_file, "outside"), (put_file, "account/tmp")],
    ],
)
def test_what_stands_where_a_folder_was_is_mended(quick, tmp_path, put, name):
    comes_right(quick, name, put, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("put", [put_link, put_file, put_nothing])
@pytest.mark.parametrize("name", FOLDERS)
def test_whatever_stands_where_a_folder_was_is_mended(quick, tmp_path, put, name):
    comes_right(quick, name, put, tmp_path)


def test_walk_goes_through_all_folders(quick):
    """But those of environments, and what git and a build have made in theirs."""
    box = quick.clone / ".sandbox"
    found = [*box.iterdir(), *box.glob("account/*"), *box.glob("account/*/*")]
    names = {str(path.relative_to(box)) for path in found if path.is_dir()}
    # Another test has moved something elsewhere.
    assert names - {*FOLDERS, "students-venv", "elsewhere"} == set()
