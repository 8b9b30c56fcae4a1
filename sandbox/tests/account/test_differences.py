"""Where MiniStack alone is not as AWS and the account is: each row is asked of both.

A row that MiniStack alone passes, too, needs no wrap any more.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import io
import json
import re
import subprocess
import sys
import zipfile

import botocore.exceptions
import botocore.parsers
import psutil
import pytest
from lone_account import NAME, answering, becomes, zipped

from sandbox.account import keys
from sandbox.laptop.paths import ROOT

INTERNALS = ROOT / "sandbox" / "account" / "internals.py"
SERVER_ERROR = b'{"message":"Internal Server Error"}'


def refused(call, **parameters) -> tuple[int, str, str]:
    """Make a call that must fail; return its status, code and message."""
    with pytest.raises(botocore.exceptions.ClientError) as error:
        call(**parameters)
    answer = error.value.response
    return (
        answer["ResponseMetadata"]["HTTPStatusCode"],
        answer["Error"]["Code"],
        answer["Error"]["Message"],
    )


def publish_during_an_update_is_refused(account):
    functions = account.client("lambda")
    done = functions.update_function_code(**NAME, ZipFile=answering("one"))
    assert (done["State"], done["LastUpdateStatus"]) == ("Active", "InProgress")
    conflict = (
        409,
        "ResourceConflictException",
        "The operation cannot be performed at this time. An update is in progress for resource: "
        "arn:aws:lambda:us-east-1:000000000000:function:hello_user",
    )
    assert refused(functions.publish_version, **NAME) == conflict
    assert refused(functions.update_function_code, **NAME, ZipFile=answering("two")) == conflict
    assert refused(functions.update_function_configuration, **NAME, Timeout=3) == conflict
    # The waiter's first question ends it, so that no push is slower for it.
    assert functions.get_function(**NAME)["Configuration"]["LastUpdateStatus"] == "Successful"
    functions.publish_version(**NAME)


def weighted_alias_shares_the_requests(account):
    old, new = (account.publish(answering(word)) for word in ("old", "new"))
    functions = account.client("lambda")
    share = {"AdditionalVersionWeights": {old: 0.5}}
    functions.update_alias(**NAME, Name="live", FunctionVersion=new, RoutingConfig=share)
    try:
        assert {account.get()[2] for _ in range(40)} == {b"old", b"new"}
        assert {account.invoke()[0]["body"] for _ in range(40)} == {"old", "new"}
    finally:
        functions.update_alias(**NAME, Name="live", FunctionVersion=new, RoutingConfig={})
    assert {account.get()[2] for _ in range(10)} == {b"new"}


def handler_that_raises_answers_500(account):
    account.publish(
        zipped("def hello_user_handler(event, context):\n    raise ValueError('why')\n")
    )
    assert (account.get()[0], account.get()[2]) == (500, SERVER_ERROR)
    assert account.log()[-3] == (
        "[ERROR] ValueError: why\n"
        "Traceback (most recent call last):\n"
        '\xa0\xa0File "/var/task/hello_user.py", line 2, in hello_user_handler\n'
        "\xa0\xa0\xa0\xa0raise ValueError('why')"
    )


def api_without_a_permission_is_answered_500(account):
    account.publish(answering("permitted"))
    functions = account.client("lambda")
    policy = json.loads(functions.get_policy(**NAME, Qualifier="live")["Policy"])
    [statement] = policy["Statement"]
    source = statement["Condition"]["ArnLike"]["AWS:SourceArn"]
    of = {**NAME, "Qualifier": "live", "StatementId": statement["Sid"]}
    given = {"Action": "lambda:InvokeFunction", "Principal": "apigateway.amazonaws.com"}
    functions.remove_permission(**of)
    try:
        assert (account.get()[0], account.get()[2]) == (500, SERVER_ERROR)
        other = source.replace(":hellouser/", ":another/")
        functions.add_permission(**of, **given, SourceArn=other)
        assert account.get()[0] == 500
        functions.remove_permission(**of)
    finally:
        functions.add_permission(**of, **given, SourceArn=source)
    assert account.get()[2] == b"permitted"


def alias_to_a_version_that_is_not_there_is_404(account):
    functions = account.client("lambda")
    missing = (
        404,
        "ResourceNotFoundException",
        "Function not found: arn:aws:lambda:us-east-1:000000000000:function:hello_user:999",
    )
    assert refused(functions.update_alias, **NAME, Name="live", FunctionVersion="999") == missing
    assert refused(functions.create_alias, **NAME, Name="x", FunctionVersion="999") == missing
    share = {"AdditionalVersionWeights": {"999": 0.1}}
    assert refused(functions.update_alias, **NAME, Name="live", RoutingConfig=share) == missing


def weight_that_is_no_share_of_the_requests_is_refused(account):
    share = {"AdditionalVersionWeights": {"1": 1.5}}  # below 0, the SDK itself refuses it
    status, code, text = refused(
        account.client("lambda").update_alias, **NAME, Name="live", RoutingConfig=share
    )
    assert (status, code) == (400, "ValidationException") and "equal to 1.0" in text


def publish_with_another_hash_is_refused(account):
    account.publish(answering("hashed"))
    functions = account.client("lambda")
    there = functions.get_function_configuration(**NAME)["CodeSha256"]
    status, code, text = refused(functions.publish_version, **NAME, CodeSha256="x")
    assert (status, code) == (400, "InvalidParameterValueException")
    assert text == (
        f"CodeSHA256 (x) is different from current CodeSHA256 in $LATEST ({there}). "
        "Please try again with the CodeSHA256 in $LATEST."
    )
    assert refused(functions.publish_version, **NAME, RevisionId="x")[0] == 412
    assert functions.publish_version(**NAME, CodeSha256=there)["CodeSha256"] == there


def build_role_may_update_the_alias_and_not_list_or_delete(account):
    version = account.publish(answering("moved"))
    functions = account.as_build("lambda")
    functions.update_alias(**NAME, Name="live", FunctionVersion=version)
    for call in (functions.list_aliases, functions.get_alias, functions.delete_alias):
        named = {} if call == functions.list_aliases else {"Name": "live"}
        assert refused(call, **NAME, **named)[1] == "AccessDeniedException"


def trust_policy_asks_for_the_source(account):
    assert account.as_build("sts").get_caller_identity()["Arn"].endswith("/AWSCodeBuild-test")
    [role] = [
        item["Arn"]
        for item in account.client("iam").list_roles()["Roles"]
        if "BuildRole" in item["RoleName"]
    ]
    sts = account.client("sts", keys.ROOT)
    asked = {"RoleArn": role, "RoleSessionName": "AWSCodeBuild-test"}
    assert refused(sts.assume_role, **asked)[1] == "AccessDenied"


def permission_is_for_one_qualifier(account):
    version = account.publish(answering("qualified"))
    functions = account.as_build("lambda")
    functions.get_function(**NAME)
    found = refused(functions.get_function, **NAME, Qualifier=version)
    assert found[1] == "AccessDeniedException"


def code_location_is_of_the_version_and_for_ten_minutes(account):
    old = account.publish(answering("version"))
    account.publish(answering("latest"))
    where = account.client("lambda").get_function(**NAME, Qualifier=old)["Code"]["Location"]
    path = where.split(f":{account.port}", 1)[1]
    assert account.ask("GET", path)[2] == answering("version")
    assert account.ask("GET", path.split("?")[0])[0] == 403
    assert account.ask("GET", path[:-4] + "0000")[0] == 403


def preflight_of_an_api_without_cors_is_404(account):
    status, headers, body = account.get(method="OPTIONS", headers={"Origin": "http://a.example"})
    assert (status, body) == (404, b'{"message":"Not Found"}')
    assert not [name for name in headers if name.lower().startswith("access-control")]


def root_key_is_not_test(account):
    for key in ("test", "", "000000000000", "123456789012"):
        sts = account.client("sts", aws_access_key_id=key, aws_secret_access_key="x")
        with pytest.raises((botocore.exceptions.ClientError, botocore.parsers.ResponseParserError)):
            sts.get_caller_identity()


def signature_is_checked_root_s_too(account):
    for user in (keys.ROOT, keys.STUDENT):
        key = account.keys[user][0]
        sts = account.client("sts", aws_access_key_id=key, aws_secret_access_key="wrong")
        assert refused(sts.get_caller_identity)[1] == "SignatureDoesNotMatch"


def function_credentials_cannot_be_guessed(account):
    text = (
        "import os\ndef hello_user_handler(event, context):\n"
        "    return {'statusCode': 200, 'body': os.environ['AWS_SECRET_ACCESS_KEY']}\n"
    )
    version = account.publish(zipped(text))
    config = account.client("lambda").get_function_configuration(**NAME, Qualifier=version)
    digest = hashlib.sha256(f"{config['FunctionArn']}:{config['Role']}".encode()).hexdigest()
    guess = hashlib.sha256(f"secret:{digest}".encode()).hexdigest()
    assert account.get()[2].decode() != guess


def four_environments_at_most_wait_for_a_request(account):
    text = "import os\ndef hello_user_handler(event, context):\n    return os.getpid()\n"
    pids = [account.invoke(account.publish(zipped(text), live=False))[0] for _ in range(6)]
    # MiniStack alone takes all of this time.
    assert becomes(lambda: not any(map(psutil.pid_exists, pids[:2])), seconds=10)
    assert [psutil.pid_exists(pid) for pid in pids] == [False, False, True, True, True, True]


def empty_zip_is_refused(account):
    stream = io.BytesIO()
    zipfile.ZipFile(stream, "w").close()
    functions = account.client("lambda")
    assert refused(functions.update_function_code, **NAME, ZipFile=stream.getvalue()) == (
        400,
        "InvalidParameterValueException",
        "Uploaded file must be a non-empty zip",
    )


def inline_code_is_index_py(account):
    body, error = account.invoke("1")
    assert (body["errorType"], error) == ("Runtime.ImportModuleError", "Unhandled")
    assert (
        body["errorMessage"] == "Unable to import module 'hello_user': No module named 'hello_user'"
    )


def stack_that_fails_leaves_what_another_has_made(account):
    version = account.publish(answering("of the first"))
    stacks = account.client("cloudformation", keys.ROOT)
    parameter = {"ParameterKey": "RepositoryUrl", "ParameterValue": "https://github.com/a/b.git"}
    stacks.create_stack(
        StackName="other",
        TemplateBody=(ROOT / "template.yml").read_text(),
        Capabilities=["CAPABILITY_IAM"],
        Parameters=[parameter],
    )
    with pytest.raises(botocore.exceptions.WaiterError):
        waiter = stacks.get_waiter("stack_create_complete")
        waiter.wait(StackName="other", WaiterConfig={"Delay": 0.1})
    assert account.get()[2] == b"of the first" == account.invoke(version)[0]["body"].encode()
    assert account.client("logs").describe_log_streams(logGroupName="/aws/lambda/hello_user")


ROWS = [
    value
    for value in list(globals().values())
    if getattr(value, "__module__", "") == __name__
    and value.__code__.co_varnames[:1] == ("account",)
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.__name__)
def test_account_is_as_aws(account, row):
    row(account)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.__name__)
def test_ministack_alone_still_is_not(bare, row):
    failures = (AssertionError, botocore.exceptions.ClientError, pytest.fail.Exception, KeyError)
    with pytest.raises(failures):
        row(bare)


def test_internals_are_those_of_the_pinned_ministack():
    [written_for] = re.findall(r'WRITTEN_FOR = "(.+)"', INTERNALS.read_text())
    pins = (ROOT / "sandbox" / "requirements.txt").read_text().splitlines()
    assert f"ministack=={written_for}" in pins
    assert importlib.metadata.version("ministack") == written_for


def test_private_names_of_ministack_stand_in_one_module():
    for path in {*INTERNALS.parents[1].rglob("*.py")} - {INTERNALS}:
        nodes = [*ast.walk(ast.parse(path.read_text()))] if "tests" not in path.parts else []
        theirs = {
            alias.asname or alias.name
            for node in nodes
            if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith("ministack.")
            for alias in node.names
        }
        used = {
            node.attr
            for node in nodes
            if isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id in theirs
        }
        assert not [name for name in theirs | used if name.startswith("_")], path
    assert len(re.findall(r"^\w+ = \w+\._", INTERNALS.read_text(), re.MULTILINE)) <= 30


def test_name_that_is_gone_stops_the_account(tmp_path):
    code = f"""
from sandbox.account import keys, ministack
keys.FILE = __import__("pathlib").Path({str(tmp_path / "keys.json")!r})
keys.make()
from ministack.services import lambda_svc
del lambda_svc._functions
ministack.main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={"STATE_DIR": str(tmp_path), "TMPDIR": str(tmp_path), "GATEWAY_PORT": "1"},
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "error: the account needs MiniStack as requirements.txt pins it: "
        "module 'ministack.services.lambda_svc' has no attribute '_functions'"
    )
