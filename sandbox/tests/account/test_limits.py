"""What Lambda and an HTTP API refuse, and what they make of a zip, as a client of theirs sees it.

https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import io
import json
import stat
import time
import zipfile

import botocore.exceptions
import pytest
from lone_account import NAME, entry, zipped

from sandbox import Mistake
from sandbox.account import stack

SERVER_ERROR = b'{"message":"Internal Server Error"}'
UNABLE = (
    "Lambda was unable to configure your environment variables because the environment variables "
    "you have provided "
)


def returning(expression: str) -> bytes:
    """Return a zip whose handler returns this."""
    return zipped(f"def hello_user_handler(event, context):\n    return {expression}\n")


def refused(call, **parameters) -> tuple[int, str, str]:
    """Make a call that must fail; return its status, code and message."""
    with pytest.raises(botocore.exceptions.ClientError) as error:
        call(**NAME, **parameters)
    answer = error.value.response
    return (
        answer["ResponseMetadata"]["HTTPStatusCode"],
        answer["Error"]["Code"],
        answer["Error"]["Message"],
    )


def test_zip_over_50_mb_is_refused(account):
    update = account.client("lambda").update_function_code
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as code:
        code.writestr("a", bytes(52_428_800))
    status, kind, text = refused(update, ZipFile=stream.getvalue())
    assert (status, kind) == (413, "RequestEntityTooLargeException")
    assert text == "Zipped size must be smaller than 52428800 bytes"
    assert refused(update, ZipFile=bytes(60 << 20))[1] == "RequestEntityTooLargeException"


def test_answer_over_6_mb_is_an_error_and_one_below_is_none(account):
    version = account.publish(returning("{'statusCode': 200, 'body': 'x' * 6_291_556}"))
    body, error = account.invoke(version)
    assert (body, error) == (
        {
            "errorType": "Function.ResponseSizeTooLarge",
            "errorMessage": "Response payload size exceeded maximum allowed payload size "
            "(6291556 bytes).",
        },
        "Unhandled",
    )
    assert (account.get()[0], account.get()[2]) == (500, SERVER_ERROR)
    account.publish(returning("{'statusCode': 200, 'body': 'x' * 6_291_400}"))
    assert len(account.get()[2]) == 6_291_400


def test_event_over_6_mb_is_refused(account):
    account.publish(returning("len(event)"))
    invoke = account.client("lambda").invoke
    assert refused(invoke, Payload=b'"' + b"x" * 6_291_455 + b'"') == (
        413,
        "RequestEntityTooLargeException",
        "Request must be smaller than 6291456 bytes for the InvokeFunction operation",
    )
    assert account.invoke("live", b'"' + b"x" * 6_291_454 + b'"') == (6_291_454, None)


def test_arn_names_the_function_and_one_of_another_account_does_not(account):
    account.publish(returning("context.invoked_function_arn"))
    invoke = account.client("lambda").invoke
    arn = "arn:aws:lambda:us-east-1:000000000000:function:hello_user"
    assert json.loads(invoke(FunctionName=f"{arn}:live")["Payload"].read()) == f"{arn}:live"
    with pytest.raises(botocore.exceptions.ClientError) as error:
        invoke(FunctionName=arn.replace("000000000000", "111111111111"))
    assert error.value.response["Error"]["Code"] == "ResourceNotFoundException"


@pytest.mark.parametrize("payload", [b'{"a": 1', b"{'a': 1}", b"a", b"\xff", b"[" * 100_000])
def test_payload_that_is_no_json_is_refused(account, payload):
    status, kind, text = refused(account.client("lambda").invoke, Payload=payload)
    assert (status, kind) == (400, "InvalidRequestContentException")
    assert text.startswith("Could not parse request body into json: Could not parse payload into ")


CONSTRAINT = "1 validation error detected: Value '{}' at '{}' failed to satisfy constraint: "
KEYS = (
    "1 validation error detected: Value at 'environment.variables' failed to satisfy constraint: "
    "Map keys must satisfy constraint: [Member must satisfy regular expression pattern: "
    "[a-zA-Z]([a-zA-Z0-9_])+]"
)
LONG = {"NAME": "x" * 4096}
RESERVED = "contains reserved keys that are currently not supported for modification. "
# A call, what it is given, and what Lambda says.
REFUSALS = {
    "long description": (
        "publish_version",
        {"Description": "x" * 257},
        CONSTRAINT.format("x" * 257, "description")
        + "Member must have length less than or equal to 256",
    ),
    "alias that is a number": (
        "create_alias",
        {"Name": "7", "FunctionVersion": "1"},
        CONSTRAINT.format("7", "name")
        + "Member must satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)",
    ),
    "reserved variables": (
        "update_function_configuration",
        {"Environment": {"Variables": {"AWS_REGION": "x", "OWN": "x", "_HANDLER": "x"}}},
        KEYS,
    ),
    "reserved variable": (
        "update_function_configuration",
        {"Environment": {"Variables": {"AWS_REGION": "x", "OWN": "x"}}},
        f"{UNABLE}{RESERVED}Reserved keys used in this request: AWS_REGION",
    ),
    "name of a variable": (
        "update_function_configuration",
        {"Environment": {"Variables": {"a-b": "x"}}},
        KEYS,
    ),
    "variables over 4 KB": (
        "update_function_configuration",
        {"Environment": {"Variables": LONG}},
        f"{UNABLE}exceeded the 4KB limit. String measured: "
        + json.dumps(LONG, separators=(",", ":")),
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_lambda_s_rules_forbid_is_refused_in_its_words(account, name):
    call, given, text = REFUSALS[name]
    before = account.client("lambda").get_function_configuration(**NAME)["RevisionId"]
    status, kind, said = refused(getattr(account.client("lambda"), call), **given)
    assert (status, said) == (400, text)
    assert kind in ("ValidationException", "InvalidParameterValueException")
    assert account.client("lambda").get_function_configuration(**NAME)["RevisionId"] == before


def test_up_refuses_a_template_that_lambda_would_refuse():
    function = {
        "Type": "AWS::Lambda::Function",
        "Properties": {"Environment": {"Variables": {"AWS_REGION": {"Ref": "Region"}}}},
    }
    with pytest.raises(Mistake) as mistake:
        stack.check({"Resources": {"Function": function}})
    assert str(mistake.value) == (
        "template.yml could not be deployed:\n"
        f"Function: {UNABLE}{RESERVED}Reserved keys used in this request: AWS_REGION"
    )
    stack.check({"Resources": {"Function": {**function, "Properties": {"Description": "x"}}}})


def with_files(**files: tuple[int, str]) -> bytes:
    """Return a zip with files of these modes, and one with a handler that tells of them."""
    stream = io.BytesIO()
    handler = """\
import importlib, os, subprocess
def hello_user_handler(event, context):
    told = {}
    for name, call in (("program", lambda: subprocess.check_output("./program", text=True)),
                       ("link", lambda: os.readlink("link") + open("link").read()),
                       ("closed", lambda: importlib.import_module("closed").WORD),
                       ("open", lambda: importlib.import_module("open_").WORD)):
        try:
            told[name] = call()
        except Exception as error:
            told[name] = f"{type(error).__name__}: {error}"
    return told
"""
    with zipfile.ZipFile(stream, "w") as code:
        for name, (mode, text) in {"hello_user.py": (0o100644, handler), **files}.items():
            code.writestr(entry(name, mode), text)
    return stream.getvalue()


def test_modes_and_links_of_a_zip_are_kept(account):
    content = with_files(
        **{
            "program": (0o100755, "#!/bin/sh\necho runs\n"),
            "text": (0o100644, "!"),
            "link": (stat.S_IFLNK | 0o777, "text"),
            "closed.py": (0o100600, "WORD = 'read'"),
            "open_.py": (0o100644, "WORD = 'read'"),
        }
    )
    assert account.invoke(account.publish(content, live=False)) == (
        {
            "program": "runs\n",
            "link": "text!",
            "closed": "PermissionError: [Errno 13] Permission denied: '/var/task/closed.py'",
            "open": "read",
        },
        None,
    )


def test_link_of_a_zip_leads_no_file_out_of_its_folder(account, tmp_path):
    content = with_files(
        **{"out": (stat.S_IFLNK | 0o777, str(tmp_path)), "out/file": (0o100644, "written")}
    )
    account.invoke(account.publish(content, live=False))
    assert not [*tmp_path.iterdir()]


# What API Gateway cannot use, and what is said of it.
UNUSABLE = {
    "{'statusCode': 200, 'body': {'a': 1}}": "body is a dict, not text: json.dumps makes it one",
    "{'statusCode': 200, 'body': 'ä', 'isBase64Encoded': True}": "body is not base64, though "
    "isBase64Encoded says so",
    "{'statusCode': 200, 'cookies': 'a=1'}": "cookies is no list of texts",
    "{'statusCode': 200, 'cookies': ['a\\n']}": "a cookie holds a control character",
    "{'statusCode': 200, 'headers': {'a': 'b\\r\\nc: d'}}": 'the header "a" is "b\\r\\nc: d"',
    "{'statusCode': 200, 'headers': {'a b': 'c'}}": 'the header "a b" is "c"',
    "{'statusCode': 200, 'headers': {'a': None}}": 'the header "a" is null',
    "{'statusCode': 200, 'headers': []}": "",
    "{'statusCode': 200, 'headers': 'x'}": "headers is no object",
    "{'statusCode': 99}": "statusCode is 99, no number from 200 to 599",
    "{'statusCode': 100}": "statusCode is 100, no number from 200 to 599",
    "{'statusCode': True}": "statusCode is true, no number from 200 to 599",
    "{'statusCode': [200]}": "statusCode is [200], no number from 200 to 599",
    "b'\\xff'": "it is no JSON",
}


@pytest.mark.parametrize("returned", UNUSABLE)
def test_answer_that_cannot_be_used_is_500_and_the_log_says_why(account, returned):
    account.publish(returning(returned))
    status, headers, body = account.get()
    if why := UNUSABLE[returned]:
        assert (status, body, headers["Content-Type"]) == (500, SERVER_ERROR, "application/json")
        assert account.log()[-1] == f"[ERROR] API Gateway cannot use this answer: {why}"
    else:
        assert status == 200


@pytest.mark.parametrize("status", [200, 204, 304, 404])
def test_length_is_that_of_the_body_whatever_the_function_says(account, status):
    headers = "{'content-length': '3', 'Transfer-Encoding': 'chunked', 'Connection': 'close'}"
    account.publish(returning(f"{{'statusCode': {status}, 'body': 'abcde', 'headers': {headers}}}"))
    found, _, body = account.get()
    assert (found, body) == (status, b"" if status in (204, 304) else b"abcde")
    assert account.get()[0] == status  # the connection is not out of step


@pytest.fixture
def any_route(account):
    """Let the API hand all methods to the function, as its policy allows."""
    apis, functions = account.client("apigatewayv2"), account.client("lambda")
    [route] = apis.get_routes(ApiId="hellouser")["Items"]
    made = apis.create_route(ApiId="hellouser", RouteKey="ANY /hello_user", Target=route["Target"])
    given = {
        **NAME,
        "Qualifier": "live",
        "StatementId": "any",
        "Action": "lambda:InvokeFunction",
        "Principal": "apigateway.amazonaws.com",
    }
    source = "arn:aws:execute-api:us-east-1:000000000000:hellouser/*/*/hello_user"
    functions.add_permission(**given, SourceArn=source)
    yield
    functions.remove_permission(**NAME, Qualifier="live", StatementId="any")
    apis.delete_route(ApiId="hellouser", RouteId=made["RouteId"])


METHOD = "event['requestContext']['http']['method']"


def test_options_reaches_a_function_whose_route_takes_any(account, any_route):
    account.publish(
        returning(f"{{'statusCode': 204, 'headers': {{'Access-Control-Allow-Methods': {METHOD}}}}}")
    )
    status, headers, _ = account.get(method="OPTIONS", headers={"Origin": "http://a.example"})
    assert (status, headers["Access-Control-Allow-Methods"]) == (204, "OPTIONS")


def test_request_in_chunks_has_no_length_of_zero(account, any_route):
    account.publish(
        returning("{'statusCode': 200, 'body': str((event['headers'], event['body']))}")
    )
    connection = http.client.HTTPConnection("127.0.0.1", account.port, timeout=30)
    with contextlib.closing(connection):
        path = "/_aws/execute-api/hellouser/default/hello_user"
        headers = {"Content-Type": "text/plain", "Transfer-Encoding": "chunked"}
        connection.request("POST", path, iter([b"ab", b"c"]), headers, encode_chunked=True)
        headers, body = eval(connection.getresponse().read())
    assert body == "abc" and headers.get("content-length") != "0"


def test_invocations_above_the_reserved_number_are_throttled(account):
    functions = account.client("lambda")
    account.publish(returning("1"))
    functions.put_function_concurrency(**NAME, ReservedConcurrentExecutions=0)
    try:
        assert refused(functions.invoke, Qualifier="live")[:2] == (
            429,
            "TooManyRequestsException",
        )
        assert account.get()[0] == 503
    finally:
        functions.delete_function_concurrency(**NAME)
    assert account.get()[0] == 200


def test_event_and_dry_run_are_answered_at_once(account):
    functions = account.client("lambda")
    account.publish(zipped("def hello_user_handler(event, context):\n    print('ran', event)\n"))
    asked = {**NAME, "Qualifier": "live", "Payload": b'{"a": 1}'}
    assert functions.invoke(**asked, InvocationType="DryRun")["StatusCode"] == 204
    assert functions.invoke(**asked, InvocationType="Event")["StatusCode"] == 202
    deadline = time.monotonic() + 30
    while "ran {'a': 1}" not in account.log() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert account.log().count("ran {'a': 1}") == 1
    answer = functions.invoke(**asked, LogType="Tail")
    log = base64.b64decode(answer["LogResult"]).decode().splitlines()
    assert [line.split(" ")[0] for line in log] == ["START", "ran", "END", "REPORT"]
