"""A function on the laptop and on Lambda: event, context, environment, answer, log, key by key.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
https://docs.aws.amazon.com/lambda/latest/dg/python-context.html
https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
"""

from __future__ import annotations

import json
import re
import socket
import time

import pytest
from lone_account import NAME, zipped

SERVER_ERROR = b'{"message":"Internal Server Error"}'
TELLS_ALL = """\
import json, os, sys
def hello_user_handler(event, context):
    told = {name: getattr(context, name) for name in dir(context) if name[0] != "_"}
    told = {name: value for name, value in told.items() if not callable(value)}
    who = told.pop("identity")
    told["identity"] = [who.cognito_identity_id, who.cognito_identity_pool_id]
    told["left"] = context.get_remaining_time_in_millis()
    here = {"env": dict(os.environ), "path": sys.path, "cwd": os.getcwd()}
    return {"statusCode": 200, "body": json.dumps({"event": event, "context": told, **here})}
"""


def raw(account, target: bytes) -> bytes:
    """Send a request line as it is; return the answer."""
    host = f"Host: 127.0.0.1:{account.port}\r\nConnection: close\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", account.port), timeout=30) as connection:
        connection.sendall(b"GET " + target + b" HTTP/1.1\r\n" + host)
        return b"".join(iter(lambda: connection.recv(1 << 16), b""))


@pytest.fixture(scope="module")
def told(account):
    """What the handler is given for one request with all that a request can have."""
    account.publish(zipped(TELLS_ALL))
    path = b"/_aws/execute-api/hellouser/default/hello_user?user=Zo%C3%AB+A&a=1&a=2&empty="
    headers = b" HTTP/1.1\r\nX-A: 1\r\nX-A: 2\r\nCookie: a=1; b=2\r\nUser-Agent: test\r\nX-None: "
    status, _, answer = raw(account, path + headers).partition(b"\r\n\r\n")
    assert b" 200 " in status.split(b"\r\n")[0]
    found = json.loads(answer)
    found["answer"] = dict(line.lower().split(b": ", 1) for line in status.split(b"\r\n")[1:])
    return found


def test_event_is_that_of_payload_format_2(account, told):
    event = told["event"]
    context = event["requestContext"]
    assert re.fullmatch(r"[A-Za-z0-9+/]{15}=", context["requestId"])
    assert told["answer"][b"apigw-requestid"].decode() == context["requestId"].lower()
    assert abs(context["timeEpoch"] / 1000 - time.time()) < 600
    at = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(context["timeEpoch"] / 1000))
    trace = event["headers"]["x-amzn-trace-id"]
    assert re.fullmatch(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}", trace)
    api = "hellouser.execute-api.localhost"
    assert event == {
        "version": "2.0",
        "routeKey": "GET /hello_user",
        "rawPath": "/default/hello_user",
        "rawQueryString": "user=Zo%C3%AB+A&a=1&a=2&empty=",
        "cookies": ["a=1", "b=2"],
        "headers": {
            "content-length": "0",
            "host": api,
            "user-agent": "test",
            "x-a": "1,2",
            "x-amzn-trace-id": trace,
            "x-forwarded-for": "127.0.0.1",
            "x-forwarded-port": str(account.port),
            "x-forwarded-proto": "http",
            "x-none": "HTTP/1.1",
            "connection": "close",
        },
        "queryStringParameters": {"user": "Zoë A", "a": "1,2", "empty": ""},
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "hellouser",
            "domainName": api,
            "domainPrefix": "hellouser",
            "http": {
                "method": "GET",
                "path": "/default/hello_user",
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": "test",
            },
            "requestId": context["requestId"],
            "routeKey": "GET /hello_user",
            "stage": "default",
            "time": at,
            "timeEpoch": context["timeEpoch"],
        },
        "isBase64Encoded": False,
    }


def test_event_of_a_bare_request_has_no_empty_keys(account, told):
    event = json.loads(account.get()[2])["event"]
    assert sorted(event) == [
        *("headers", "isBase64Encoded", "rawPath", "rawQueryString", "requestContext"),
        *("routeKey", "version"),
    ]
    assert event["rawQueryString"] == ""


def test_context_is_that_of_the_python_runtime(account, told):
    context = told["context"]
    version = account.client("lambda").get_alias(**NAME, Name="live")["FunctionVersion"]
    assert 0 < context.pop("left") <= 3000
    assert re.fullmatch(r"[0-9a-f-]{36}", context.pop("aws_request_id"))
    stream = context.pop("log_stream_name")
    assert re.fullmatch(rf"\d{{4}}/\d\d/\d\d/\[{version}\][0-9a-f]{{32}}", stream)
    assert context == {
        "client_context": None,
        "function_name": "hello_user",
        "function_version": version,
        "identity": [None, None],
        "invoked_function_arn": "arn:aws:lambda:us-east-1:000000000000:function:hello_user:live",
        "log_group_name": "/aws/lambda/hello_user",
        "memory_limit_in_mb": "128",
        "tenant_id": None,
    }
    streams = account.client("logs").describe_log_streams(logGroupName="/aws/lambda/hello_user")
    assert stream in [found["logStreamName"] for found in streams["logStreams"]]


def test_environment_is_that_of_lambda(account, told):
    env = told["env"]
    version = account.client("lambda").get_alias(**NAME, Name="live")["FunctionVersion"]
    assert env.pop("AWS_ACCESS_KEY_ID").startswith("ASIA")
    assert env.pop("AWS_SECRET_ACCESS_KEY") and env.pop("AWS_SESSION_TOKEN")
    assert env.pop("AWS_LAMBDA_LOG_STREAM_NAME").split("[")[1].startswith(f"{version}]")
    assert env.pop("_X_AMZN_TRACE_ID") == told["event"]["headers"]["x-amzn-trace-id"]
    assert env.pop("LAMBDA_TASK_ROOT") == told["cwd"] == told["path"][0]
    assert env.pop("LAMBDA_RUNTIME_DIR") == env.pop("PYTHONPATH") == told["path"][-1]
    laptop = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{account.port}",
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
    }
    assert env == laptop | {
        "_HANDLER": "hello_user.hello_user_handler",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
        "AWS_LAMBDA_FUNCTION_NAME": "hello_user",
        "AWS_LAMBDA_FUNCTION_VERSION": version,
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/hello_user",
        "AWS_REGION": "us-east-1",
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        "LANG": "en_US.UTF-8",
        "PATH": "/usr/local/bin:/usr/bin:/bin:/opt/bin",
        "TZ": ":UTC",
    }


def test_variables_of_the_function_are_there(account):
    functions = account.client("lambda")
    variables = {"GREETING": "Hi", "AWS_REGION_OF_MINE": "x"}
    functions.update_function_configuration(**NAME, Environment={"Variables": variables})
    functions.get_waiter("function_updated_v2").wait(**NAME)
    try:
        account.publish(zipped(TELLS_ALL))
        assert variables.items() <= json.loads(account.get()[2])["env"].items()
    finally:
        functions.get_waiter("function_updated_v2").wait(**NAME)
        functions.update_function_configuration(**NAME, Environment={"Variables": {}})
        functions.get_waiter("function_updated_v2").wait(**NAME)


def test_user_that_is_not_encoded_is_read(account, told):
    answer = raw(account, "/_aws/execute-api/hellouser/default/hello_user?user=Zoë".encode())
    assert (
        json.loads(answer.split(b"\r\n\r\n")[1])["event"]["queryStringParameters"]["user"] == "Zoë"
    )


@pytest.mark.parametrize(
    "returned, status, kind, body",
    [
        ('{"statusCode": 201, "body": "a"}', 201, "text/plain;charset=UTF-8", b"a"),
        ('{"statusCode": "200", "body": "a"}', 200, "text/plain;charset=UTF-8", b"a"),
        ('{"statusCode": 204}', 204, "text/plain;charset=UTF-8", b""),
        ('{"statusCode": 200, "body": "a", "headers": {"Content-Type": "a/b"}}', 200, "a/b", b"a"),
        ('{"statusCode": 200, "body": "/w==", "isBase64Encoded": True}', 200,
         "text/plain;charset=UTF-8", b"\xff"),
        ('{"message": "a"}', 200, "application/json", b'{"message": "a"}'),
        ('"plain"', 200, "application/json", b"plain"),
        ("[1]", 200, "application/json", b"[1]"),
        ("None", 200, "application/json", b"null"),
        ('{"statusCode": "many"}', 500, "application/json", SERVER_ERROR),
        ("{1, 2}", 500, "application/json", SERVER_ERROR),
        ("1 / 0", 500, "application/json", SERVER_ERROR),
    ],
)  # fmt: skip
def test_answer_is_made_of_what_is_returned(account, returned, status, kind, body):
    account.publish(zipped(f"def hello_user_handler(event, context):\n    return {returned}\n"))
    answered, headers, text = account.get()
    lower = {name.lower(): value for name, value in headers.items()}
    assert (answered, lower["content-type"], text) == (status, kind, body)


def test_cookies_are_set_one_by_one(account):
    text = HANDLER.replace("200", "200, 'cookies': ['a=1', 'b=2']")
    account.publish(zipped(text))
    lines = raw(account, b"/_aws/execute-api/hellouser/default/hello_user").split(b"\r\n")
    assert [line for line in lines if line.lower().startswith(b"set-cookie")] == [
        b"Set-Cookie: a=1", b"Set-Cookie: b=2"]  # fmt: skip


HANDLER = "def hello_user_handler(event, context):\n    return {'statusCode': 200}\n"
# What makes a function fail, what Lambda calls it, and what it writes into the log.
FAILURES = {
    "package that is not there": (
        "import requests\n" + HANDLER,
        "Runtime.ImportModuleError",
        "Unable to import module 'hello_user': No module named 'requests'",
    ),
    "package of the sandbox's own": (
        "import yaml\n" + HANDLER,
        "Runtime.ImportModuleError",
        "Unable to import module 'hello_user': No module named 'yaml'",
    ),
    "handler of another name": (
        HANDLER.replace("hello_user_handler", "handle"),
        "Runtime.HandlerNotFound",
        "Handler 'hello_user_handler' missing on module 'hello_user'",
    ),
    "syntax error": (
        "def hello_user_handler(event, context)\n",
        "Runtime.UserCodeSyntaxError",
        "Syntax error in module 'hello_user': expected ':' (hello_user.py, line 1)",
    ),
    "exception at import": ("{}['key']\n" + HANDLER, "KeyError", "'key'"),
    "exit at import": (
        "import sys\nsys.exit(3)\n" + HANDLER,
        "Runtime.ExitError",
        "RequestId: ID Error: Runtime exited with error: exit status 3",
    ),
    "exit in the handler": (
        HANDLER.replace("return", "exit(0)\n    return"),
        "Runtime.ExitError",
        "RequestId: ID Error: Runtime exited without providing a reason",
    ),
    "killed": (
        "import os\n" + HANDLER.replace("return", "os.kill(os.getpid(), 9)\n    return"),
        "Runtime.ExitError",
        "RequestId: ID Error: Runtime exited with error: signal: killed",
    ),
    "too slow": (
        "import time\n" + HANDLER.replace("return", "time.sleep(60)\n    return"),
        "Sandbox.Timedout",
        "RequestId: ID Error: Task timed out after 3.00 seconds",
    ),
    "answer that is no JSON": (
        HANDLER.replace("{'statusCode': 200}", "{1}"),
        "Runtime.MarshalError",
        "Unable to marshal response: Object of type set is not JSON serializable",
    ),
    "exception in the handler": (
        HANDLER.replace("return", "raise ValueError('why')\n    return"),
        "ValueError",
        "why",
    ),
}


@pytest.mark.parametrize("name", FAILURES)
def test_failure_has_lambda_s_own_words(account, name):
    code, kind, text = FAILURES[name]
    version = account.publish(zipped(code), live=False)
    body, error = account.invoke(version)
    said = re.sub(r"(?<=RequestId: )\S+", "ID", body["errorMessage"])
    assert (body["errorType"], said, error) == (kind, text, "Unhandled")
    names = {"errorType", "errorMessage"}
    if kind not in ("Sandbox.Timedout", "Runtime.ExitError"):
        names |= {"stackTrace", "requestId"}
    assert set(body) == names
    lines = [re.sub(r"(?<=RequestId: )\S+", "ID", line) for line in account.log()]
    if kind == "Sandbox.Timedout":
        assert [line for line in lines if line.endswith(" Task timed out after 3.00 seconds")]
    elif kind == "Runtime.ExitError":
        assert text in lines and "Runtime.ExitError" in lines
    else:
        assert f"[ERROR] {kind}: {text}" in [line.split("\n")[0] for line in lines]


def test_failed_start_is_tried_again_and_answers_500(account):
    account.publish(zipped(FAILURES["package that is not there"][0]))
    for _ in range(2):
        assert (account.get()[0], account.get()[2]) == (500, SERVER_ERROR)


def test_import_that_hangs_ends(account):
    version = account.publish(zipped("import time\ntime.sleep(600)\n" + HANDLER), live=False)
    body, error = account.invoke(version)
    assert (body["errorType"], error) == ("Sandbox.Timedout", "Unhandled")


def test_handler_may_be_in_a_folder_and_nothing_else(account):
    functions = account.client("lambda")
    own = "hello_user.hello_user_handler"

    def named(handler):
        functions.update_function_configuration(**NAME, Handler=handler)
        functions.get_waiter("function_updated_v2").wait(**NAME)

    try:
        named("nothing")
        body, _ = account.invoke(account.publish(zipped(HANDLER), live=False))
        assert body["errorType"] == "Runtime.MalformedHandlerName"
        assert body["errorMessage"] == (
            "Bad handler 'nothing': not enough values to unpack (expected 2, got 1)"
        )
        named("time.handler")
        body, _ = account.invoke(account.publish(zipped(HANDLER), live=False))
        assert body["errorType"] == "Runtime.BuiltInModuleConflict"
        named("app/main.hello_user_handler")
        version = account.publish(zipped(HANDLER, "app/main.py"), live=False)
        assert account.invoke(version) == ({"statusCode": 200}, None)
    finally:
        named(own)


def test_exception_keeps_the_process_and_its_trace_names_var_task(account):
    text = (
        "import os\ndef hello_user_handler(event, context):\n    print('pid', os.getpid())\n"
        "    raise ValueError('why')\n"
    )
    version = account.publish(zipped(text), live=False)
    body, _ = account.invoke(version)
    assert body["stackTrace"] == [
        '  File "/var/task/hello_user.py", line 4, in hello_user_handler\n'
        "    raise ValueError('why')\n"
    ]
    account.invoke(version)
    pids = [line for line in account.log() if line.startswith("pid ")][-2:]
    assert pids[0] == pids[1]


def test_only_tmp_is_writable(account):
    text = """\
import os, pathlib, tempfile
def attempt(call, *arguments):
    try:
        call(*arguments)
        return "written"
    except OSError as error:
        return f"{error.errno} {error.strerror} {error.filename}"
def hello_user_handler(event, context):
    here = pathlib.Path(__file__).parent
    with tempfile.TemporaryDirectory() as folder, open(folder + "/a", "w") as stream:
        stream.write("a")
    read = open(__file__).read(1), os.listdir(here)
    return {"own": attempt(open, "a.txt", "w"), "again": attempt(open, __file__, "r+"),
            "folder": attempt(os.mkdir, here / "a"), "removed": attempt(os.remove, __file__),
            "low": attempt(os.open, "b", os.O_WRONLY | os.O_CREAT),
            "home": attempt(open, os.path.expanduser("~/x-of-a-function"), "a"),
            "moved": attempt(os.rename, __file__, "/tmp/x-of-a-function"), "read": read}
"""
    body, error = account.invoke(account.publish(zipped(text), live=False))
    read = body.pop("read")
    assert error is None and read == ["i", ["hello_user.py"]]
    assert all(said.startswith("30 Read-only file system /") for said in body.values()), body
    assert body["own"] == "30 Read-only file system /var/task/a.txt"


def test_layer_is_on_the_path(account):
    functions = account.client("lambda")
    content = {"ZipFile": zipped("WORD = 'layered'\n", "python/greeting.py")}
    layer = functions.publish_layer_version(LayerName="words", Content=content)

    def use(*layers):
        functions.update_function_configuration(**NAME, Layers=[*layers])
        functions.get_waiter("function_updated_v2").wait(**NAME)

    use(layer["LayerVersionArn"])
    try:
        text = (
            "import greeting\ndef hello_user_handler(event, context):\n    return greeting.WORD\n"
        )
        assert account.invoke(account.publish(zipped(text), live=False)) == ("layered", None)
    finally:
        use()


def test_boto3_can_be_imported_and_is_lambda_s_only_package(account):
    text = (
        "import boto3, botocore, importlib.util\n"
        "def hello_user_handler(event, context):\n"
        "    names = ('boto3', 'botocore', 's3transfer', 'jmespath', 'dateutil', 'six',\n"
        "             'urllib3', 'pip', 'pytest', 'yaml', 'psutil', 'ministack', 'sandbox')\n"
        "    return [name for name in names if importlib.util.find_spec(name)]\n"
    )
    assert account.invoke(account.publish(zipped(text), live=False))[0] == [
        *("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3")
    ]


def test_log_has_all_lines_of_each_invocation_in_order(account):
    text = """\
import logging, os, subprocess, sys
def hello_user_handler(event, context):
    print("one")
    subprocess.run(["echo", "two"])
    print("three", file=sys.stderr)
    logging.getLogger().warning("four")
    logging.info("not shown, as on Lambda")
    os.write(1, b"five\\n")
    print()
    print("sechs: \\u00f6")
    print("seven", end="")
"""
    version = account.publish(zipped(text), live=False)
    account.invoke(version)
    account.invoke(version)
    lines = account.log()
    start = max(index for index, line in enumerate(lines) if line.startswith("START RequestId: "))
    found = lines[start:]
    request_id = found[0].split()[2]
    found[4] = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "TIME", found[4])
    assert found[:-1] == [
        f"START RequestId: {request_id} Version: {version}",
        "one",
        "two",
        "three",
        f"[WARNING]\tTIME\t{request_id}\tfour",
        "five",
        "",
        "sechs: ö",
        "seven",
        f"END RequestId: {request_id}",
    ]
    assert found[-1].startswith(f"REPORT RequestId: {request_id}\tDuration: ")


def test_process_left_behind_delays_nothing(account):
    text = (
        "import subprocess\ndef hello_user_handler(event, context):\n"
        "    subprocess.Popen(['sleep', '20'])\n    return 'done'\n"
    )
    # After three seconds it would be over.
    assert account.invoke(account.publish(zipped(text), live=False)) == ("done", None)
