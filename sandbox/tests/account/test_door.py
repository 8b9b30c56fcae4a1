"""The account's door: each attack as a request on the wire, and refused; normal use as ever."""

from __future__ import annotations

import http.client
import http.server
import json
import os
import socket
import stat
import threading
import time
import urllib.parse

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import botocore.exceptions
import psutil
import pytest
from browsers import FOUND, browser
from lone_account import NAME, OURS, Account, answering, zipped

from sandbox.account import keys, state

EVIL = {
    "FunctionName": "evil",
    "Runtime": "python3.13",
    "Role": "arn:aws:iam::000000000000:role/x",
    "Handler": "a.b",
    "Code": {"ZipFile": ""},
}
UNSIGNED_ROOT = urllib.parse.urlencode(
    {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": "test/20260101/us-east-1/lambda/aws4_request",
    }
)
FUNCTIONS = "/2015-03-31/functions"


def signed(account, method="GET", path=FUNCTIONS, service="lambda", user=keys.STUDENT, body=b""):
    """Return the headers of a request that is signed as it should be."""
    credentials = botocore.credentials.Credentials(*account.keys[user])
    url = f"http://127.0.0.1:{account.port}{path}"
    request = botocore.awsrequest.AWSRequest(method, url, data=body)
    botocore.auth.SigV4Auth(credentials, service, "us-east-1").add_auth(request)
    return dict(request.headers)


def functions(account) -> list[str]:
    listed = account.client("lambda").list_functions()["Functions"]
    return [found["FunctionName"] for found in listed]


def assert_no_cors(headers):
    assert not [name for name in headers if name.lower().startswith("access-control")]


def test_signed_request_passes(account):
    status, headers, body = account.ask("GET", FUNCTIONS, signed(account))
    assert status == 200 and b"hello_user" in body
    assert_no_cors(headers)


def test_page_that_names_a_key_and_signs_nothing_is_refused(account):
    """The request that a form of another site can send: no preflight, root by its name alone."""
    plain = {"Content-Type": "text/plain"}
    for headers in (plain, {**plain, "Origin": "http://evil.example"}, {**plain, "Origin": "null"}):
        path = f"{FUNCTIONS}?{UNSIGNED_ROOT}"
        status, answered, _ = account.ask("POST", path, headers, json.dumps(EVIL))
        assert status == 403
        assert_no_cors(answered)
    assert functions(account) == ["hello_user"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "x"},
    ],
    ids=str,
)
def test_request_of_a_page_is_refused_though_it_is_signed(account, headers):
    status, answered, _ = account.ask("GET", FUNCTIONS, signed(account) | headers)
    assert status == 403
    assert_no_cors(answered)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:{}",
        "127.0.0.1",
        "127.0.0.1:1",
        "localhost.evil.example:{}",
        "127.0.0.1:{}.evil.example",
        "0.0.0.0:{}",
        "hellouser.cloudfront.net",
        "",
    ],
)
def test_host_that_is_not_the_account_s_is_refused(account, host):
    headers = signed(account) | {"Host": host.format(account.port)}
    assert account.ask("GET", FUNCTIONS, headers)[0] in (400, 403)
    health = account.ask("GET", "/_ministack/health", {"Host": host.format(account.port)})
    assert health[0] in (400, 403)


def test_request_without_a_host_is_refused(account):
    with socket.create_connection(("127.0.0.1", account.port), timeout=30) as connection:
        connection.sendall(b"GET /_ministack/health HTTP/1.0\r\n\r\n")
        assert b" 40" in connection.recv(20)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_names_of_the_loopback_are_served(account, name):
    assert account.ask("GET", "/_ministack/health", {"Host": f"{name}:{account.port}"})[0] == 200


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize(
    "path",
    [
        "/_ministack/reset",
        "/_ministack/config",
        "/_ministack/ready",
        "/_localstack/health",
        "/_localstack/init",
        "/health",
        "/_aws/ses/messages",
        "/_aws/sqs/messages?QueueUrl=x",
        "/_ministack/cfn-response/x",
        "/_ministack/cfn-signal/x",
        "/_ministack/rds/iam-auth",
        "/_ministack/lambda-code/000000000000/us-east-1/hello_user",
        "/_ministack/lambda-code/000000000000/us-east-1/hello_user?Expires=9999999999&Signature=x",
        "/restapis/hellouser/default/_user_request_/hello_user",
        "/%5fministack/reset",
        "/_sandbox/sessions/x",
    ],
)
def test_inside_of_the_emulator_is_closed(account, method, path):
    assert account.ask(method, path)[0] == 403
    # By its headers it is the student; only what has its own answer to that may differ.
    assert account.ask(method, path, signed(account, method, path))[0] == 403
    assert functions(account) == ["hello_user"]


@pytest.mark.parametrize(
    "key", ["test", "", "000000000000", "123456789012", "AKIAIOSFODNN7EXAMPLE"]
)
def test_other_user_s_key_is_not_root(account, key):
    account.keys["other"] = [key, "anything"]
    for service, path in (("lambda", FUNCTIONS), ("sts", "/"), ("s3", "/"), ("iam", "/")):
        status, _, body = account.ask("GET", path, signed(account, "GET", path, service, "other"))
        assert status in (400, 403), body


def test_signature_of_another_request_is_refused(account):
    headers = signed(account)
    assert account.ask("DELETE", f"{FUNCTIONS}/hello_user", headers)[0] == 403
    headers = signed(account, "POST", FUNCTIONS, body=b"{}")
    assert account.ask("POST", FUNCTIONS, headers, json.dumps(EVIL))[0] == 403
    assert functions(account) == ["hello_user"]


def test_presigned_request_is_refused(account):
    for service, call, asked in (
        ("sts", "get_caller_identity", {}),
        ("lambda", "list_functions", {}),
        ("s3", "list_buckets", {}),
    ):
        url = account.client(service).generate_presigned_url(call, asked)
        assert account.ask("GET", url.split(f":{account.port}", 1)[1])[0] == 403


@pytest.mark.parametrize("authorization", [
    "AWS test:c2lnbmF0dXJl", "Bearer x", "Basic dGVzdDp0ZXN0", "AWS4-HMAC-SHA256",
    "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/lambda/aws4_request",
    "AWS4-ECDSA-P256-SHA256 Credential=test/20260101/lambda/aws4_request, SignedHeaders=host, "
    "Signature=00",
])  # fmt: skip
def test_other_forms_of_authorization_are_refused(account, authorization):
    for path in (FUNCTIONS, "/", f"{FUNCTIONS}?{UNSIGNED_ROOT}"):
        assert account.ask("GET", path, {"Authorization": authorization})[0] in (400, 403)


def test_preflight_is_not_granted(account):
    asks = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    for path in (FUNCTIONS, "/", "/_ministack/reset", "/_ministack/health", "/bucket/key"):
        status, headers, _ = account.ask("OPTIONS", path, asks)
        assert status == 403
        assert_no_cors(headers)


def test_websocket_is_refused(account):
    for path in ("/", "/_aws/execute-api/hellouser/default"):
        with socket.create_connection(("127.0.0.1", account.port), timeout=30) as connection:
            connection.sendall(
                f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{account.port}\r\n"
                "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
            )
            assert connection.recv(12) == b"HTTP/1.1 403"


def test_endpoint_is_open_to_browsers(account):
    account.publish(answering("open"))
    for headers in (
        {},
        {"Origin": "http://elsewhere.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"},
    ):
        status, answered, body = account.get(headers=headers)
        assert (status, body) == (200, b"open")
        assert_no_cors(answered)


def test_endpoint_has_the_cors_headers_of_its_api(account):
    apis = account.client("apigatewayv2")
    origin = {"Origin": "http://elsewhere.example"}
    apis.update_api(ApiId="hellouser", CorsConfiguration={"AllowOrigins": [origin["Origin"]]})
    try:
        _, headers, _ = account.get(headers=origin)
        assert headers["Access-Control-Allow-Origin"] == origin["Origin"]
        assert_no_cors(account.get(headers={"Origin": "http://evil.example"})[1])
    finally:
        apis.delete_cors_configuration(ApiId="hellouser")
    assert_no_cors(account.get(headers=origin)[1])


def test_endpoint_answers_by_the_name_in_the_stack_s_output(account):
    account.publish(answering("by name"))
    host = {"Host": f"hellouser.execute-api.localhost:{account.port}"}
    assert account.ask("GET", "/default/hello_user", host)[2] == b"by name"
    for path in ("/_ministack/reset", "/_ministack/health", FUNCTIONS, "/"):
        assert account.ask("POST", path, host)[0] == 404
    assert functions(account) == ["hello_user"]


@pytest.fixture
def ourselves(account, monkeypatch):
    """This process as the sandbox itself, which has root's key."""
    monkeypatch.setattr(keys, "FILE", account.folder / "keys.json")
    monkeypatch.setattr(state, "endpoint", lambda: f"http://127.0.0.1:{account.port}")


def test_session_that_is_over_is_refused(account, ourselves):
    functions = account.as_build("lambda", "AWSCodeBuild-over")
    other = account.as_build("lambda", "AWSCodeBuild-other")
    functions.get_function(**NAME)
    path = f"{state.SESSIONS}AWSCodeBuild-over/red"
    of_other = {state.HEADER: state.proof(f"{state.SESSIONS}AWSCodeBuild-other/red")}
    for headers in (
        {},
        of_other,
        signed(account, "POST", path, "sts"),
        signed(account, "POST", path, "sts", keys.ROOT),
    ):
        assert account.ask("POST", path, headers)[0] == 403
    functions.get_function(**NAME)
    state.end("AWSCodeBuild-over", green=False)
    with pytest.raises(botocore.exceptions.ClientError) as error:
        functions.update_alias(**NAME, Name="live", FunctionVersion="1")
    assert error.value.response["Error"]["Code"] == "ExpiredTokenException"
    other.get_function(**NAME)


@pytest.mark.parametrize(
    "make",
    [
        lambda right: "",
        lambda right: right.replace(".", "\u00b2."),
        lambda right: "9" * 5000 + right[right.index(".") :],
        lambda right: f"{int(right.partition('.')[0]) + 1}" + right[right.index(".") :],
        lambda right: right[:-1] + ("0" if right[-1] != "0" else "1"),
        lambda right: state.proof("/elsewhere"),
        lambda right: state.proof(state.ROUTE, 1),
    ],
)
def test_proof_that_is_not_right_is_refused(account, ourselves, make):
    path = urllib.parse.urlsplit(
        account.client("lambda").get_function(**NAME)["Code"]["Location"]
    ).path
    for where in (state.ROUTE, path):
        right = state.proof(where)
        wrong = make(right)
        assert account.ask("GET", where, {state.HEADER: right})[0] == 200
        assert account.ask("GET", where, {state.HEADER: wrong.encode()})[0] == 403
        assert account.ask("GET", f"{where}?proof={urllib.parse.quote(wrong)}")[0] == 403


def answering_with(headers):
    return zipped(
        "def hello_user_handler(event, context):\n"
        f"    return {{'statusCode': 200, 'body': '<b>', 'headers': {headers!r}, 'cookies':\n"
        "        ['a=1; Path=/; HttpOnly', 'b=2', 'c=3; path=/x; PATH = /y/;Secure',\n"
        "        'd=4;Path=q']}\n"
    )


@pytest.mark.parametrize("kind", ["", "*/*", "foo", "text", "text/html", "image/svg+xml", "a/b"])
def test_answer_of_a_function_has_nothing_of_the_console_s_origin(account, kind):
    reaching = {"Clear-Site-Data": '"*"', "service-worker-allowed": "/", "Alt-Svc": 'h2=":1"'}
    given = {"content-type": kind, "X-Content-Type-Options": "no", **reaching}
    account.publish(answering_with(given))
    connection = http.client.HTTPConnection("127.0.0.1", account.port, timeout=30)
    connection.request("GET", "/_aws/execute-api/hellouser/default/hello_user")
    headers = connection.getresponse().headers
    connection.close()
    assert headers.get_all("Content-Security-Policy") == ["sandbox allow-scripts allow-forms"]
    assert headers.get_all("X-Content-Type-Options") == ["nosniff"]
    assert not {name.lower() for name in reaching} & {name.lower() for name in headers}
    place = "/_aws/execute-api/hellouser"
    assert headers.get_all("Set-Cookie") == [
        f"a=1; Path={place}; HttpOnly",
        "b=2",
        f"c=3; Path={place}/y;Secure",
        "d=4",
    ]


WORKER = """<!doctype html><p id=said>waiting</p><script>
const said = [`origin ${window.origin}`];
const tell = error => { said.push(error.name); };
try { said.push(document.cookie = "stolen=1; path=/"); } catch (error) { tell(error); }
Promise.resolve().then(() => navigator.serviceWorker.register(location.pathname, {scope: "/"}))
  .then(() => { said.push("registered"); }, tell)
  .then(() => fetch("/console/")).then(() => { said.push("read"); }, tell)
  .then(() => { document.getElementById("said").textContent = said.join(", "); });
</script>"""


@pytest.mark.skipif(not FOUND, reason="this machine has no Chromium")
def test_page_of_a_function_has_another_origin_in_a_real_browser(account):
    with browser() as running:
        page = running.new_page()
        for kind in ("", "*/*", "foo", "text", "text/html"):
            answer = {"statusCode": 200, "headers": {"content-type": kind}, "body": WORKER}
            account.publish(
                zipped(f"def hello_user_handler(event, context):\n    return {answer!r}\n")
            )
            url = f"http://127.0.0.1:{account.port}/_aws/execute-api/hellouser/default/hello_user"
            page.goto(url)
            if kind == "text/html":
                page.wait_for_function("!document.body.innerText.includes('waiting')")
                said = page.inner_text("#said")
                assert said == "origin null, SecurityError, SecurityError, TypeError"
            else:
                assert page.locator("#said").count() == 0, kind  # it is shown as text
            assert page.context.service_workers == [] == page.context.cookies()


def test_answer_under_an_api_s_own_name_is_as_the_function_gave_it(account):
    account.publish(answering_with({"content-type": "text/html"}))
    connection = http.client.HTTPConnection("127.0.0.1", account.port, timeout=30)
    host = {"Host": f"hellouser.execute-api.localhost:{account.port}"}
    connection.request("GET", "/default/hello_user", headers=host)
    headers = connection.getresponse().headers
    connection.close()
    assert "Content-Security-Policy" not in headers
    assert headers.get_all("Set-Cookie")[0] == "a=1; Path=/; HttpOnly"


def test_connection_is_closed_when_its_client_has_closed_it(account):
    """And all at once: none is kept for the 75 seconds that an idle one may be open."""
    process = psutil.Process(account.process.pid)
    before = process.num_fds()
    request = f"GET /_ministack/health HTTP/1.1\r\nHost: 127.0.0.1:{account.port}\r\n\r\n"
    for number in range(100):
        with socket.create_connection(("127.0.0.1", account.port), timeout=30) as connection:
            if number % 2:  # the others go without a word
                connection.sendall(request.encode())
                assert connection.recv(12) == b"HTTP/1.1 200"
    deadline = time.monotonic() + 30
    while process.num_fds() > before + 5:
        assert time.monotonic() < deadline, process.num_fds() - before
        time.sleep(0.05)


@pytest.mark.long
def test_five_thousand_requests_at_256_descriptors_all_get_their_answer(tmp_path):
    few = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256)); {OURS}"
    account = Account(tmp_path, few)
    try:
        assert [account.ask("GET", "/_ministack/health")[0] for _ in range(5000)] == [200] * 5000
    finally:
        account.end()


def test_client_may_ask_again_on_the_same_connection(account):
    connection = http.client.HTTPConnection("127.0.0.1", account.port, timeout=30)
    connection.connect()
    mine = connection.sock
    for _ in range(3):
        connection.request("GET", "/_ministack/health")
        connection.getresponse().read()
        assert connection.sock is mine
    connection.close()


def test_stranger_is_refused_before_the_body_is_read(account):
    stranger = signed(account) | {"Content-Length": str(1 << 20)}
    stranger["Authorization"] = stranger["Authorization"].replace(
        account.keys[keys.STUDENT][0], "AKIAIOSFODNN7EXAMPLE"
    )
    for headers in ({"Content-Length": str(79 << 20)}, stranger):
        connection = http.client.HTTPConnection("127.0.0.1", account.port, timeout=30)
        connection.putrequest("POST", FUNCTIONS)
        for name, value in headers.items():
            if name != "host":
                connection.putheader(name, value)
        connection.endheaders()  # and no byte of the body
        assert connection.getresponse().status == 403
        connection.close()


def test_payload_of_an_api_has_a_bound(account):
    account.publish(answering("read"))
    path = "/_aws/execute-api/hellouser/default/hello_user"
    status, _, body = account.ask("POST", path, body=b"x" * ((10 << 20) + 1))
    assert (status, body) == (413, b'{"message":"Request Entity Too Large"}')


def test_function_has_its_own_role_and_no_other(account):
    text = (
        "import boto3, botocore.exceptions\n"
        "def hello_user_handler(event, context):\n"
        "    who = boto3.client('sts').get_caller_identity()['Arn']\n"
        "    try:\n"
        "        boto3.client('lambda').list_functions()\n"
        "    except botocore.exceptions.ClientError as error:\n"
        "        return who + ' ' + error.response['Error']['Code']\n"
    )
    account.publish(zipped(text))
    who, code = account.get()[2].decode().split()
    assert ":assumed-role/hello-user-FunctionRole-" in who and code == "AccessDeniedException"


def test_body_that_is_too_large_is_refused_early(account):
    with socket.create_connection(("127.0.0.1", account.port), timeout=60) as connection:
        connection.sendall(
            f"PUT /b/k HTTP/1.1\r\nHost: 127.0.0.1:{account.port}\r\n"
            f"Content-Length: {1 << 40}\r\n\r\n".encode()
        )
        piece = b"x" * (1 << 20)
        with pytest.raises(OSError):
            for _ in range(200):
                connection.sendall(piece)
            raise AssertionError


def test_keys_are_random_and_for_their_owner_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(keys, "FILE", tmp_path / "keys.json")
    previous = os.umask(0)
    try:
        keys.make()
    finally:
        os.umask(previous)
    assert stat.S_IMODE(keys.FILE.stat().st_mode) == 0o600
    made = keys.FILE.read_text()
    keys.FILE.chmod(0o644)
    keys.make()
    assert keys.FILE.read_text() == made and stat.S_IMODE(keys.FILE.stat().st_mode) == 0o600
    assert len({*keys.of(keys.ROOT), *keys.of(keys.STUDENT)}) == 4


PAGE = """<!doctype html><pre id=out>waiting</pre><img src="{account}/_ministack/reset">
<iframe name=frame></iframe>
<form method=post target=frame enctype=text/plain action="{account}{functions}?{query}">
<input name='{body}' value=''></form>
<script>
document.forms[0].submit();
const said = [], tell = (name, promise) => promise.then(
  async answer => said.push(name + " " + answer.status + " " + await answer.text()),
  () => said.push(name + " refused"));
const socket = new Promise((open, close) => {{
  const one = new WebSocket("{account}/".replace("http", "ws"));
  one.onopen = () => open({{status: "open", text: () => ""}}); one.onerror = close;
}});
const post = {{method: "POST", headers: {{"Content-Type": "text/plain"}}, body: '{body}'}};
Promise.all([
  tell("create", fetch("{account}{functions}?{query}", post)),
  tell("reset", fetch("{account}/_ministack/reset", {{method: "POST"}})),
  tell("health", fetch("{account}/_ministack/health")),
  tell("socket", socket),
]).then(() => setTimeout(() => document.getElementById("out").textContent = said.join("; "), 1000));
</script>"""


@pytest.fixture
def page(account):
    """The address of a page on another port that attacks the account in every way it can."""
    text = PAGE.format(
        account=f"http://127.0.0.1:{account.port}",
        functions=FUNCTIONS,
        query=UNSIGNED_ROOT.replace("&", "&amp;"),
        body=json.dumps(EVIL),
    )

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.mark.skipif(not FOUND, reason="this machine has no Chromium")
def test_page_of_another_origin_gets_nothing_in_a_real_browser(account, page):
    with browser() as running:
        shown = running.new_page()
        shown.goto(page)
        shown.wait_for_function("document.getElementById('out').textContent != 'waiting'")
        said = shown.inner_text("#out").split("; ")
    assert sorted(said) == [f"{name} refused" for name in ("create", "health", "reset", "socket")]
    assert functions(account) == ["hello_user"]
