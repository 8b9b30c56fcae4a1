"""What a build can see and do, what other users can, and what hostile input does: nothing."""

import contextlib
import os
import socket
import stat
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request

import botocore.exceptions
import psutil
import pytest

from sandbox.laptop.network import direct, is_loopback
from sandbox.laptop.paths import outside
from sandbox.laptop.terminal import harmless

SECRET = "planted-7f3a9c"


@pytest.fixture
def listener():
    """A server on the loopback that notes what is asked of it, as an endpoint or as a proxy."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.settimeout(0.2)
        accepted, over = [], threading.Event()

        def accept():
            while not over.is_set():
                with contextlib.suppress(TimeoutError), server.accept()[0] as connection:
                    connection.settimeout(5)
                    accepted.append(connection.recv(1000).split(b"\r\n")[0])

        thread = threading.Thread(target=accept)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", accepted
        over.set()
        thread.join()


def plant(someone):
    """Plant secrets in the student's HOME and return an environment full of more of them."""
    for name, text in {
        ".aws/credentials": f"[default]\naws_access_key_id = {SECRET}\n"
        f"aws_secret_access_key = {SECRET}\n",
        ".aws/config": f"[default]\nregion = eu-west-1\n[profile work]\nendpoint_url = https://{SECRET}.example\n",
        ".git-credentials": f"https://user:{SECRET}@github.com\n",
        ".netrc": f"machine github.com login user password {SECRET}\n",
        ".ssh/id_ed25519": SECRET,
        ".config/pip/pip.conf": f"[global]\nextra-index-url = https://user:{SECRET}@example.invalid/simple\n",
        ".bash_profile": f"export FROM_PROFILE={SECRET}\n",
        ".profile": f"export FROM_PROFILE={SECRET}\n",
    }.items():
        (someone.home / name).parent.mkdir(parents=True, exist_ok=True)
        (someone.home / name).write_text(text)
    someone.git("config", "--global", "credential.helper", f"!echo password={SECRET}")
    names = [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_PROFILE",
        "GITHUB_TOKEN",
        "GH_TOKEN",
        "SSH_AUTH_SOCK",
        "NPM_TOKEN",
        "PYPI_PASSWORD",
        "GIT_ASKPASS",
        "ENV",
        "BASH_ENV",
        "PYTHONSTARTUP",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ]
    return (
        someone.env
        | dict.fromkeys(names, SECRET)
        | {"HTTPS_PROXY": f"http://user:{SECRET}@127.0.0.1:9"}
    )


def unplant(someone):
    for name in (
        ".aws/credentials",
        ".aws/config",
        ".git-credentials",
        ".netrc",
        ".ssh/id_ed25519",
        ".config/pip/pip.conf",
        ".bash_profile",
        ".profile",
    ):
        (someone.home / name).unlink(missing_ok=True)
    someone.git("config", "--global", "--unset", "credential.helper", code=None)


def test_build_sees_nothing_of_the_student(quick):
    env = plant(quick)
    try:
        quick.run(
            "prints all",
            "env",
            "export -p",
            "cat /proc/$PPID/environ || true",
            "find ~ -type f -print -exec cat {} +",
            "git config --list --show-origin",
            "echo url=https://github.com | git credential fill || true",
            "ssh-add -l || true",
            "aws configure list",
            "python -c 'import os; print(os.environ)'",
            "python -m pip config list || true",
        )
        lines = quick.type("git", "push", "sandbox", env=env).stderr
        record = quick.builds()[-1]
        text = (quick.clone / ".sandbox" / "builds" / str(record["number"]) / "log").read_text()
        assert record["status"] == "SUCCEEDED", lines
        assert "CODEBUILD_BUILD_ID=" in text and "AWS_CONTAINER_" in text  # it did print
        assert SECRET not in text and SECRET not in lines
        assert f"HOME={outside(quick.clone)}/" in text
        assert str(quick.home) not in text.replace(str(quick.clone), "")
    finally:
        unplant(quick)


def test_build_without_the_endpoint_variable_stays_on_this_machine(quick, listener):
    url, accepted = listener
    quick.run(
        "asks",
        f"HTTPS_PROXY={url} https_proxy={url} env -u AWS_ENDPOINT_URL aws sts get-caller-identity",
        f"HTTPS_PROXY={url} https_proxy={url} "
        "env -u AWS_ENDPOINT_URL -u AWS_DEFAULT_REGION -u AWS_REGION "
        "aws lambda get-function --function-name hello_user --query Configuration.FunctionName",
    )
    lines = quick.push()
    assert "SUCCEEDED" in lines[-1], lines
    assert any("assumed-role/" in line for line in lines) and accepted == []


ROLE = "arn:aws:iam::000000000000:role/eve"
FUNCTION = {"FunctionName": "hello_user"}
DENIED = [
    ("iam", "list_users", {}),
    ("iam", "list_roles", {}),
    ("iam", "create_user", {"UserName": "eve"}),
    ("s3", "list_buckets", {}),
    ("s3", "create_bucket", {"Bucket": "eve"}),
    ("lambda", "list_functions", {}),
    ("lambda", "delete_function", FUNCTION),
    ("lambda", "invoke", FUNCTION),
    ("lambda", "invoke", {"FunctionName": "another", "Qualifier": "1"}),
    (
        "lambda",
        "create_function",
        {
            "FunctionName": "eve",
            "Runtime": "python3.13",
            "Role": ROLE,
            "Handler": "a.b",
            "Code": {"ZipFile": b"PK"},
        },
    ),
    ("lambda", "update_function_configuration", FUNCTION | {"Timeout": 9}),
    (
        "lambda",
        "add_permission",
        FUNCTION | {"StatementId": "a", "Action": "lambda:InvokeFunction", "Principal": "*"},
    ),
    ("lambda", "update_function_code", {"FunctionName": "another", "ZipFile": b"PK"}),
    ("lambda", "get_function", {"FunctionName": "another"}),
    ("lambda", "publish_version", {"FunctionName": "another"}),
    ("lambda", "update_alias", {"FunctionName": "another", "Name": "live", "FunctionVersion": "1"}),
    ("sts", "assume_role", {"RoleArn": ROLE, "RoleSessionName": "eve"}),
    ("codebuild", "list_projects", {}),
    ("codebuild", "start_build", {"projectName": "hello_user"}),
    ("ssm", "get_parameter", {"Name": "key"}),
    ("ssm", "put_parameter", {"Name": "key", "Value": "x", "Type": "String"}),
    ("secretsmanager", "list_secrets", {}),
    ("secretsmanager", "get_secret_value", {"SecretId": "key"}),
    ("cloudformation", "describe_stacks", {}),
    ("cloudformation", "delete_stack", {"StackName": "hello-user"}),
    ("apigatewayv2", "get_apis", {}),
    ("logs", "delete_log_group", {"logGroupName": "/aws/codebuild/hello_user"}),
    (
        "logs",
        "create_log_stream",
        {"logGroupName": "/aws/lambda/hello_user", "logStreamName": "eve"},
    ),
]


@pytest.fixture(scope="module")
def build_role(shared_quick):
    """Return a function that calls an operation with the credentials that a build has."""
    [role] = [
        item
        for item in shared_quick.client("iam").list_roles()["Roles"]
        if "BuildRole" in item["RoleName"]
    ]
    sts = shared_quick.client("sts", "root")

    def name_source(params, **_):
        params["headers"]["x-amz-source-account"] = "000000000000"

    sts.meta.events.register("before-call.sts.AssumeRole", name_source)
    asked = {"RoleArn": role["Arn"], "RoleSessionName": "AWSCodeBuild-test"}
    keys = sts.assume_role(**asked)["Credentials"]

    def call(service, operation, parameters):
        pair = keys["AccessKeyId"], keys["SecretAccessKey"]
        client = shared_quick.client(service, pair, keys["SessionToken"])
        return getattr(client, operation)(**parameters)

    return call


def test_build_role_may_do_its_work(build_role):
    assert (
        build_role("lambda", "get_function", FUNCTION)["Configuration"]["FunctionName"]
        == "hello_user"
    )


@pytest.mark.parametrize("call", DENIED, ids=lambda call: f"{call[0]}-{call[1]}-{len(call[2])}")
def test_build_role_may_do_nothing_more(build_role, call):
    with pytest.raises(botocore.exceptions.ClientError) as error:
        build_role(*call)
    assert error.value.response["Error"]["Code"] in ("AccessDenied", "AccessDeniedException")


@pytest.mark.long
def test_build_that_deletes_the_alias_is_red_and_the_alias_comes_back(quick):
    before, old = quick.live(), quick.message()
    quick.say("deleted", "aws lambda delete-alias --function-name hello_user --name live")
    assert f"version {before} is still live" in quick.push()[-1]
    assert "AccessDeniedException" in quick.log()
    assert (quick.live(), quick.message()) == (before, old)
    quick.client("lambda").delete_alias(FunctionName="hello_user", Name="live")
    quick.say("alias again")
    quick.git("push", "-q", "sandbox")
    quick.up()
    assert quick.message() == "alias again"


def test_build_with_the_key_test_is_refused(quick):
    """Root is who holds the key of `up`, whatever the words are that the emulator alone takes."""
    calls = "sts get-caller-identity", "lambda list-functions", "iam list-users"
    keys = "AWS_ACCESS_KEY_ID={} AWS_SECRET_ACCESS_KEY=x AWS_SESSION_TOKEN= aws {} || echo refused"
    commands = [keys.format(key, call) for key in ("test", "000000000000") for call in calls]
    quick.run("root", *commands)
    assert "SUCCEEDED" in quick.push()[-1]
    assert quick.log().count("\nrefused\n") == len(commands)


def test_configuration_that_a_build_writes_is_read_by_nobody_else(quick, listener):
    """Neither by the next build nor by `up`, which would then ask the real AWS hosts."""
    url, accepted = listener
    quick.run(
        "writes",
        "aws configure set default.ignore_configured_endpoint_urls true",
        f"aws configure set default.endpoint_url {url}",
        "aws configure set default.region eu-west-1",
        "aws configure list",
    )
    assert "SUCCEEDED" in quick.push()[-1], quick.log()
    env = quick.env | dict.fromkeys(("HTTPS_PROXY", "https_proxy", "HTTP_PROXY"), url)
    quick.run("reads", 'cat "$AWS_CONFIG_FILE"', f"HTTPS_PROXY={url} aws sts get-caller-identity")
    said = quick.type("git", "push", "sandbox", env=env).stderr
    assert "SUCCEEDED" in said
    assert "ignore_configured" not in quick.log() and "eu-west-1" not in quick.log()
    quick.sandbox("up", env=env)
    assert accepted == []


def test_programs_and_hooks_that_a_build_has_changed_are_made_anew(quick):
    """The next build, and the next push, run what the sandbox has put there."""
    quick.run(
        "changes",
        "printf '#!/bin/sh\ntouch ~/../../ran-it\n' > ../spoilt; chmod +x ../spoilt",
        'cp ../spoilt "$(dirname "$(command -v aws)")/ls"',
        "for hook in pre-receive post-receive update; do cp ../spoilt "
        f"'{quick.clone}/.sandbox/fork.git/hooks/'$hook; done",
        "aws --version",
    )
    assert "SUCCEEDED" in quick.push()[-1], quick.log()
    quick.run("as ever", "ls", 'test ! -e "$(dirname "$(command -v aws)")/ls"')
    assert "SUCCEEDED" in quick.push()[-1], quick.log()
    assert not [*quick.clone.rglob("ran-it")]


@pytest.mark.long
def test_sockets_are_on_loopback_only_during_a_build(quick):
    found = set()

    def listen():
        pids = {
            process.pid
            for process in psutil.process_iter(["cwd", "cmdline"])
            if str(quick.clone) in f"{process.info['cwd']} {process.info['cmdline']}"
        }
        found.update(
            item.laddr.ip
            for item in psutil.net_connections("inet")
            if item.pid in pids and item.status == psutil.CONN_LISTEN
        )

    quick.say("listening")
    push = quick.start_push()
    while push.poll() is None:
        listen()
    assert found == {"127.0.0.1"}


def test_sandbox_folder_is_closed_to_others_whatever_the_umask(quick):
    folder = quick.clone / ".sandbox"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o777)
    quick.sandbox("up", umask=0)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


COMMANDS = ("up", "url", "env", "status", "build", "down", "test")


@pytest.mark.parametrize(
    "name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_LAMBDA", "AWS_ENDPOINT_URL_STS"]
)
def test_foreign_endpoint_is_refused_before_anything_connects(quick, listener, name):
    url, accepted = listener
    env = quick.env | {
        name: "http://aws.example.com",
        "HTTP_PROXY": url,
        "HTTPS_PROXY": url,
        "http_proxy": url,
        "https_proxy": url,
        "ALL_PROXY": url,
    }
    for command in COMMANDS:
        said = quick.sandbox(command, env=env, code=2).stderr
        assert said == (
            f"error: {name} is 'http://aws.example.com'; "
            f"the sandbox talks to an address on this machine only\n"
            f"hint: type `unset {name}` and try again\n"
        )
    assert accepted == [] and quick.get()[0] == 200


def test_planted_profile_is_not_used_by_any_command(quick, listener):
    url, accepted = listener
    plant(quick)
    (quick.home / ".aws" / "config").write_text(
        f"[default]\nendpoint_url = {url}\n[profile work]\nendpoint_url = {url}\n"
    )
    env = quick.env | {
        "AWS_PROFILE": "work",
        "AWS_ACCESS_KEY_ID": "AKIAPLANTED",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        # On this machine, so it is allowed, and still it is not this account.
        "AWS_ENDPOINT_URL": url,
        "HTTP_PROXY": url,
        "HTTPS_PROXY": url,
        "http_proxy": url,
        "https_proxy": url,
    }
    try:
        for command in ("status", "url", "env", "up"):
            said = quick.sandbox(command, env=env)
            assert SECRET not in said.stdout + said.stderr
        commit = quick.say("with a profile")
        quick.type("git", "push", "sandbox", env=env)
        assert (quick.builds()[-1]["commit"], quick.builds()[-1]["status"]) == (commit, "SUCCEEDED")
        asked = quick.type(
            "bash",
            "-c",
            f'eval "$({psutil.Process().exe()} -m sandbox env)"; aws sts get-caller-identity',
            env=env,
        )
        assert "000000000000" in asked.stdout
    finally:
        unplant(quick)
    # Packages come through the student's proxy, AWS calls never go there.
    assert [
        line for line in accepted if not line.startswith(b"CONNECT ") or b"amazonaws" in line
    ] == []


@pytest.mark.parametrize(
    "url, here",
    [
        ("http://127.0.0.1:4566", True),
        ("http://127.1.2.3", True),
        ("http://localhost:1", True),
        ("http://[::1]:80", True),
        ("https://sts.amazonaws.com", False),
        ("http://127.0.0.1.example.com", False),
        ("http://localhost.example.com", False),
        ("http://127.0.0.1@example.com", False),
        ("http://example.com#127.0.0.1", False),
        ("http://0.0.0.0", False),
        ("http://[::1", False),
        ("127.0.0.1", False),
        ("", False),
        ("http://127.0.0.1\\@example.com", False),
    ],
)
def test_loopback_is_told_from_other_addresses(url, here):
    assert is_loopback(url) is here


HOSTILE = [
    "$(touch ran-it)",
    "`touch ran-it`",
    ";touch ran-it;",
    "'quote",
    'dou"ble',
    "tab-less|pipe",
    "ünïcödé-🚀",
    "-rf",
    "a&&b",
]


def test_hostile_names_are_shown_and_never_run(quick):
    tip = quick.git("rev-parse", "HEAD").stdout.strip()
    before = len(quick.builds())
    hostile = [name.replace(" ", "_") for name in HOSTILE]
    names = [f"refs/tags/{name}" for name in hostile]
    branches = [
        f"refs/heads/{name}" for name in hostile[:2]
    ]  # these are built, at two seconds each
    raw = b"refs/heads/\xff\xfe"
    command = [
        *(b"git push sandbox".split()),
        *(b"%s:%s" % (tip.encode(), name.encode()) for name in names + branches),
        b"%s:%s" % (tip.encode(), raw),
    ]
    done = subprocess.run(command, cwd=quick.clone, env=quick.env, capture_output=True, timeout=120)
    said = done.stderr.decode(errors="replace")
    assert done.returncode == 0 and "Traceback" not in said, said
    assert said.count("is not built: the webhook's filter HEAD_REF") == len(names)
    built = quick.builds()[before:]
    assert {build["project"] for build in built} == {"hello_user-tests"} and len(built) == 3
    for name in ("$(touch ran-it)", "no such\nthing", "--help", "-x", "\x1b[2J"):
        quick.sandbox("build", "--", name, code=2)
    assert not list(quick.clone.rglob("ran-it*"))


def test_hostile_files_and_messages_build_as_any_other(quick):
    quick.say("hostile")
    for name in [*HOSTILE, "new\nline", "esc\x1b[2J", "back\\slash", "*"]:
        (quick.clone / name).write_text("content\n")
    with open(os.fsencode(quick.clone) + b"/\xff\xfe not text", "w") as stream:
        stream.write("content\n")
    os.symlink("/etc/passwd", quick.clone / "out-of-the-tree")
    os.symlink("..", quick.clone / "up")
    (quick.clone / "large").write_bytes(os.urandom(8 << 20))
    quick.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},submodule")
    message = "$(touch ran-it) `touch ran-it` 'q' \"d\" \x1b[2J\x1b[1A\u202e\r\nsecond ünï"
    quick.git("add", "-A", "--", ":!submodule")
    quick.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},submodule")
    quick.git("commit", "-q", "-m", message)
    done = subprocess.run(
        ["git", "push", "sandbox"], cwd=quick.clone, env=quick.env, capture_output=True, timeout=120
    )
    assert b"SUCCEEDED" in done.stderr, done.stderr[-2000:]
    assert not any(b"\x1b" in line and b"[2J" in line for line in done.stderr.splitlines())
    assert "\x1b" not in quick.sandbox("status").stdout
    assert not list(quick.clone.rglob("ran-it*"))
    quick.git("reset", "-q", "--hard", "HEAD~1")
    quick.push("--force")


@pytest.mark.long
def test_buildspec_that_points_out_of_the_tree_is_refused(quick, tmp_path):
    (tmp_path / "outside.yml").write_text("version: 0.2\nphases: {build: {commands: [true]}}\n")
    (quick.clone / "buildspec.yml").unlink()
    os.symlink(tmp_path / "outside.yml", quick.clone / "buildspec.yml")
    quick.commit("A link for a buildspec")
    lines = quick.push()
    assert any("buildspec.yml points out of the repository" in line for line in lines)
    assert "FAILED in DOWNLOAD_SOURCE" in lines[-1]
    (quick.clone / "buildspec.yml").unlink()
    quick.say("a file again")
    quick.push()


@pytest.mark.parametrize(
    "hidden",
    [
        "\x1b[2J\x1b[1;1H",
        "\x1b[1A\x1b[2K",
        "\r",
        "\b" * 80,
        "\x9b2J",
        "\x1b]0;title\x07",
        "\u202e",
        "\u2028",
        "\x0e",
        "\x00",
    ],
)
def test_escape_sequences_of_a_build_are_shown_as_text(hidden):
    shown = harmless(f"red{hidden}green")
    assert shown.replace("\n", "").isprintable() and "red" in shown and "green" in shown


@pytest.mark.long
def test_escape_sequences_do_not_hide_the_last_line(quick):
    before = quick.live()
    quick.say("hides", r"printf 'BUILD 1 SUCCEEDED\033[8m\033[2J\033]0;x\007'; exit 1")
    done = subprocess.run(
        ["git", "push", "sandbox"], cwd=quick.clone, env=quick.env, capture_output=True, timeout=120
    )
    text = done.stderr.replace(b"\x1b[K", b"")  # git's own, after each line of a remote
    assert b"\x1b" not in text
    assert b"nothing was released, version %s is still live" % before.encode() in text
    quick.say("hides nothing")
    quick.push()


@pytest.mark.parametrize(
    "query, names",
    [
        ("?user=" + "a" * 6000, 1),
        ("?user=%F0%9F%9A%80", 1),
        ("?user=a+b%2Bc", 1),
        ("?user=%00%1b%0a", 1),
        ("?&&==&", 0),
        ("?user", 1),
        ("?user=1&user=2", 1),
        ("?" + "&".join(f"k{number}=v" for number in range(300)), 300),
        ("?user=%zz", 1),
        ("?user=%ff%fe", 1),
        ("?user=$(touch+run)`touch+run`';--", 1),
        ("?user=../../etc/passwd", 1),
        ("?%75ser=x", 1),
    ],
    ids=lambda value: str(value)[:20],
)
def test_odd_query_gets_an_answer(quick, query, names):
    assert quick.get(query)[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "ODD"])
def test_other_method_has_no_route(quick, method):
    request = urllib.request.Request(
        quick.url(), method=method, data=b"x" if method == "POST" else None
    )
    with pytest.raises(urllib.error.HTTPError) as error:
        direct().open(request, timeout=30)
    assert error.value.code == 404 and quick.get()[0] == 200


@pytest.mark.parametrize(
    "path", ["/hello_use", "/hello_user/more", "/../../etc/passwd", "/%2e%2e/hello_user"]
)
def test_other_path_has_no_route(quick, path):
    parts = urllib.parse.urlsplit(quick.url())
    url = parts._replace(path=parts.path.removesuffix("/hello_user") + path).geturl()
    with pytest.raises(urllib.error.HTTPError) as error:
        direct().open(url, timeout=30)
    assert error.value.code in (403, 404) and b"root:" not in error.value.read()
