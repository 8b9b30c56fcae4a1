"""An account without a student: an emulator in a temporary folder, with template.yml deployed."""

from __future__ import annotations

import base64
import contextlib
import functools
import http.client
import io
import json
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable

import botocore.config
import botocore.session

from sandbox.account import emulator, keys
from sandbox.laptop.network import free_port
from sandbox.laptop.paths import ROOT
from students import counting

SESSION = botocore.session.Session()
NAME = {"FunctionName": "hello_user"}
OURS = (
    "import sys, pathlib; from sandbox.account import keys, ministack; "
    "keys.FILE = pathlib.Path(sys.argv.pop()); ministack.main()"
)
BARE = "import sys; sys.argv.pop(); from ministack import app; app.main()"


def zipped(text: str, name: str = "hello_user.py") -> bytes:
    """Return a zip that holds one file."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:
        made.writestr(entry(name), text)
    return stream.getvalue()


def entry(name: str, mode: int = 0o100644) -> zipfile.ZipInfo:
    """Return an entry of a zip; without a mode, zipfile gives it one that Lambda cannot read."""
    made = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))
    made.external_attr = mode << 16
    return made


def answering(text: str) -> bytes:
    """Return a zip whose handler answers with a text."""
    return zipped(
        "def hello_user_handler(event, context):\n"
        f"    return {{'statusCode': 200, 'body': {text!r}}}\n"
    )


def becomes(condition: Callable[[], bool], seconds: float = 60) -> bool:
    """Tell whether something becomes true in that time."""
    deadline = time.monotonic() + seconds
    while not (reached := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return reached


class Account:
    """A running emulator; `program` is what runs in its process."""

    def __init__(self, folder, program):
        self.folder, self.port, self.program = folder, free_port(0), program
        self.keys = {user: keys.new() for user in (keys.ROOT, keys.STUDENT)}
        if program == BARE:
            self.keys = {user: ["test", "test"] for user in self.keys}
        (folder / "keys.json").write_text(json.dumps(self.keys))
        self.start()
        self.client("cloudformation", keys.ROOT).create_stack(
            StackName="hello-user",
            TemplateBody=(ROOT / "template.yml").read_text(),
            Capabilities=["CAPABILITY_IAM"],
            Tags=[{"Key": "ms-custom-id", "Value": "hellouser"}],
            Parameters=[
                {"ParameterKey": "RepositoryUrl", "ParameterValue": "https://github.com/a/b.git"}
            ],
        )
        waiter = self.client("cloudformation", keys.ROOT).get_waiter("stack_create_complete")
        waiter.wait(StackName="hello-user", WaiterConfig={"Delay": 0.1})

    def start(self):
        """Start the emulator's process, which may find its state broken and end."""
        folder = self.folder
        own = {"STATE_DIR": str(folder / "state"), "TMPDIR": str(folder), "HOME": str(folder)}
        own["S3_DATA_DIR"] = str(folder / "state" / "s3")
        own |= {"AWS_ACCESS_KEY_ID": "test", "PYTHONPATH": str(ROOT)}
        env = emulator.environment(self.port) | own | counting()
        with open(folder / "log", "a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", self.program, str(folder / "keys.json")],
                cwd=folder,
                env=env,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 60
        while self.ask("GET", "/_ministack/health")[0] != 200:
            assert self.process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def kill(self):
        self.process.kill()
        self.process.wait(30)

    def ask(self, method="GET", path="", headers=None, body=None):
        """Send a request as it is; return status, headers and body, or 0 if nothing answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection), contextlib.suppress(ConnectionRefusedError):
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        return 0, {}, b""

    def get(self, query="", headers=None, method="GET"):
        """Ask the endpoint; return status, headers and body."""
        path = f"/_aws/execute-api/hellouser/default/hello_user{query}"
        return self.ask(method, path, headers)

    @functools.cache  # noqa: B019  # there are two of these, which live as long as the tests
    def client(self, service, user=keys.STUDENT, **credentials):
        key, secret = self.keys[user]
        given = {"aws_access_key_id": key, "aws_secret_access_key": secret} | credentials
        return SESSION.create_client(
            service,
            region_name="us-east-1",
            endpoint_url=f"http://127.0.0.1:{self.port}",
            config=botocore.config.Config(proxies={}, retries={"total_max_attempts": 1}),
            **given,
        )

    def as_build(self, service, name="AWSCodeBuild-test"):
        """Return a client with the permissions of a build."""
        roles = self.client("iam").list_roles()["Roles"]
        [role] = [item["Arn"] for item in roles if "BuildRole" in item["RoleName"]]
        sts = self.client("sts", keys.ROOT)

        def name_source(params, **_):
            params["headers"]["x-amz-source-account"] = "000000000000"

        sts.meta.events.register("before-call.sts.AssumeRole", name_source)
        found = sts.assume_role(RoleArn=role, RoleSessionName=name)["Credentials"]
        sts.meta.events.unregister("before-call.sts.AssumeRole", name_source)
        return self.client(
            service,
            aws_access_key_id=found["AccessKeyId"],
            aws_secret_access_key=found["SecretAccessKey"],
            aws_session_token=found["SessionToken"],
        )

    def publish(self, content: bytes, live=True) -> str:
        """Publish a version with this code, as buildspec.yml does, and put it live."""
        functions = self.client("lambda")
        functions.update_function_code(**NAME, ZipFile=content)
        functions.get_waiter("function_updated_v2").wait(**NAME, WaiterConfig={"Delay": 0.1})
        version = functions.publish_version(**NAME)["Version"]
        if live:
            functions.update_alias(**NAME, Name="live", FunctionVersion=version, RoutingConfig={})
        return version

    def log(self) -> list[str]:
        """Return all that functions have logged."""
        found = self.client("logs").filter_log_events(logGroupName="/aws/lambda/hello_user")
        return [event["message"] for event in found["events"]]

    def invoke(self, qualifier="live", event=b"{}"):
        """Invoke the function; return its answer and whether that is an error."""
        asked = {**NAME, "Qualifier": qualifier, "Payload": event, "LogType": "Tail"}
        answer = self.client("lambda").invoke(**asked)
        self.tail = base64.b64decode(answer.get("LogResult", "")).decode()
        return json.loads(answer["Payload"].read()), answer.get("FunctionError")

    def end(self):
        self.process.terminate()
        self.process.wait(30)
