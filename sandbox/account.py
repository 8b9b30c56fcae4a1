"""The account: MiniStack on the loopback, with template.yml deployed into it."""

from __future__ import annotations

import contextlib
import functools
import json
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import yaml

from sandbox import Mistake
from sandbox.document import LOADER
from sandbox.laptop import (ACCOUNT, FOLDER, IMAGE, RELEASES, ROOT, VENV, clean_environment, end, git,
                            is_loopback, read_json, run, say, start, started, write)

REGION = "us-east-1"
STACK = "hello-user"
ALIAS = "live"
# What makes a version another one than the one before, beside its number and description.
RELEASED = ("CodeSha256", "Handler", "Runtime", "Role", "MemorySize", "Timeout", "Environment", "Layers",
            "Architectures", "EphemeralStorage", "LoggingConfig", "TracingConfig")
TEMPLATE = ROOT / "template.yml"
STATE = ACCOUNT / "ministack.json"
MINISTACK = ["-m", "sandbox.ministack"]
# The laptop's webhook needs no approval by GitHub; the ARN only switches the template's condition.
CONNECTION = f"arn:aws:codeconnections:{REGION}:000000000000:connection/laptop"
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy for the loopback
SERVICES = "cloudformation,iam,sts,lambda,apigateway,codebuild,logs,s3,ssm,secretsmanager"


@dataclass(frozen=True)
class Project:
    """The build project as the account has it."""

    name: str
    arn: str
    role_arn: str
    source_url: str
    source_version: str
    buildspec: str
    image: str
    timeout_minutes: int
    artifacts: str
    variables: tuple[dict[str, str], ...]


@dataclass(frozen=True)
class Release:
    """One published version of the function; `commit` is what its description names."""

    version: str
    commit: str


def aws_environment(credentials: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables that make any AWS tool talk to this account and to nothing else."""
    keys = credentials or {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    return {
        "AWS_ENDPOINT_URL": endpoint(),
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_CONFIG_FILE": str(ACCOUNT / "config"),  # has the URL, too: a build may unset the variable
        "AWS_SHARED_CREDENTIALS_FILE": str(ACCOUNT / "no-such-file"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_PAGER": "",
        **keys,
    }


def endpoint() -> str:
    """Return the account's URL; raises Mistake if it does not run."""
    state = running()
    if not state:
        raise Mistake("the account is not running", "type `python3 -m sandbox up`")
    return f"http://127.0.0.1:{state['port']}"


def running() -> dict[str, Any] | None:
    """Return pid and port of the MiniStack that this sandbox started, if it lives."""
    state = read_json(STATE)
    with contextlib.suppress(psutil.Error):
        # A pid alone may belong to another process by now, after a restart of the machine.
        if state and state["folder"] == str(FOLDER) and psutil.Process(state["pid"]).cmdline()[1:] == MINISTACK:
            return state
    return None


def bring_up() -> None:
    """Start MiniStack unless it runs and answers, on the port that it had before if that is free."""
    if answers():
        return
    stop()
    for folder in (ACCOUNT / "state", ACCOUNT / "tmp", ACCOUNT / "home"):
        folder.mkdir(parents=True, exist_ok=True)
    port = free_port((read_json(STATE) or {}).get("port", 0))
    say("Starting the account (MiniStack, on 127.0.0.1 only)")
    env = clean_environment(ACCOUNT / "home", VENV / "bin") | {
        "AUTH": "true",
        "BIND_HOST": "127.0.0.1",  # its default is every interface
        "GATEWAY_PORT": str(port),
        "MINISTACK_REGION": REGION,
        "PERSIST_STATE": "1",
        "STATE_DIR": str(ACCOUNT / "state"),
        "TMPDIR": str(ACCOUNT / "tmp"),
        "SERVICES": SERVICES,
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "DOCKER_HOST": f"unix://{ACCOUNT}/no-docker",  # never touch the student's containers
        "LOG_LEVEL": "WARNING",
    }
    write(ACCOUNT / "config", f"[default]\nregion = {REGION}\nendpoint_url = http://127.0.0.1:{port}\n")
    process = start(MINISTACK[1], output=ACCOUNT / "ministack.log", env=env)
    write(STATE, json.dumps({"pid": process.pid, "port": port, "folder": str(FOLDER)}))
    deadline = time.monotonic() + 60
    while not answers():
        if process.poll() is not None or time.monotonic() > deadline:
            raise Mistake("MiniStack did not start", f"read {ACCOUNT / 'ministack.log'}, then type "
                          "`python3 -m sandbox up`")
        time.sleep(0.02)
    # It has read them. Left here, they would come back, outdated, after a kill.
    shutil.rmtree(ACCOUNT / "state")


def free_port(wanted: int) -> int:
    """Return the wanted port if nothing listens there, else one that the system gives."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                return int(probe.getsockname()[1])
            except OSError:
                continue
    raise Mistake("no free port on 127.0.0.1", "close some programs and type `python3 -m sandbox up`")


def answers() -> bool:
    """Tell whether the account answers its health check."""
    try:
        with DIRECT.open(endpoint() + "/_ministack/health", timeout=10) as answer:
            return bool(answer.status == 200)
    except (OSError, Mistake):
        return False


def stop() -> None:
    """Stop MiniStack, gently first: only a gentle stop keeps its state."""
    was_here = (read_json(STATE) or {}).get("folder") == str(FOLDER)  # else it would write where the clone was
    end(started(MINISTACK[1]), gently=was_here)


def aws(*arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the real AWS CLI against the account."""
    env = clean_environment(ACCOUNT / "home", IMAGE / "bin") | aws_environment()
    return run(IMAGE / "bin" / "aws", *arguments, env=env, check=check)


def client(service: str, credentials: Mapping[str, str] | None = None) -> Any:
    """Return a botocore client for the account, as its root or with a role's credentials."""
    return make_client(service, endpoint(), tuple((credentials or {}).items()))


@functools.cache
def make_client(service: str, url: str, credentials: tuple[tuple[str, str], ...]) -> Any:
    import botocore.config  # a quarter of a second that `check` and `url` need not wait for

    env = aws_environment(dict(credentials))
    return session().create_client(
        service, region_name=REGION, endpoint_url=url,
        aws_access_key_id=env["AWS_ACCESS_KEY_ID"], aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=env.get("AWS_SESSION_TOKEN"),
        config=botocore.config.Config(proxies={}, retries={"max_attempts": 2}, read_timeout=60))


@functools.cache
def session() -> Any:
    """Return a botocore session that reads no file and no profile of the student's."""
    import botocore.session

    nowhere = str(ACCOUNT / "no-such-file")
    made = botocore.session.Session(session_vars={"profile": (None, None, None, None)})
    made.set_config_variable("config_file", nowhere)
    made.set_config_variable("credentials_file", nowhere)
    return made


def deploy(keep: bool) -> None:
    """Deploy template.yml with the same command as on AWS; if `keep`, what is live stays live."""
    before = ""
    with contextlib.suppress(Mistake):
        before = live().version if keep else ""
    done = aws("cloudformation", "deploy", "--stack-name", STACK, "--template-file", TEMPLATE,
               "--capabilities", "CAPABILITY_IAM", "--no-fail-on-empty-changeset",
               # MiniStack makes this the API's id, so that the URL stays the same when it starts anew.
               "--tags", "ms-custom-id=hellouser",
               "--parameter-overrides", f"RepositoryUrl={repository_url()}", f"ConnectionArn={CONNECTION}",
               check=False)
    if done.returncode:
        events = aws("cloudformation", "describe-stack-events", "--stack-name", STACK, "--output", "text",
                     "--query", "StackEvents[?contains(ResourceStatus, `FAILED`)].ResourceStatusReason", check=False)
        reasons = "\n".join(dict.fromkeys([*done.stderr.strip().splitlines(), *events.stdout.strip().splitlines()]))
        raise Mistake(f"template.yml could not be deployed:\n{reasons}",
                      "mend template.yml, then type `python3 -m sandbox up`; what is live stays as it was")
    if before and live().version != before:
        say(f"This change of the alias moves it, on AWS too; here version {before} is live again, which a build released")
        make_live(before)


def repository_url() -> str:
    """Return the GitHub URL of the clone's origin, or an example if it has none."""
    origin = git("config", "--get", "remote.origin.url", check=False).stdout.strip()
    path = origin.removeprefix("git@github.com:").removeprefix("https://github.com/")
    if path != origin and path.count("/") == 1:
        return f"https://github.com/{path}"
    return "https://github.com/you/hello-user.git"


def output(key: str) -> str:
    """Return one output of the stack; raises Mistake if the stack is not there."""
    found = client("cloudformation").describe_stacks()["Stacks"]
    for stack in found:
        for item in stack.get("Outputs", []):
            if stack["StackName"] == STACK and item["OutputKey"] == key:
                return str(item["OutputValue"])
    raise Mistake(f"the account has no stack {STACK} with an output {key}", "type `python3 -m sandbox up`")


def url() -> str:
    """Return the endpoint's URL in the form that needs no name server.

    MiniStack's own form, API.execute-api.localhost, resolves with curl but not on every system.
    """
    parts = urlsplit(output("Url"))
    api = (parts.hostname or "").split(".")[0]
    return f"{endpoint()}/_aws/execute-api/{api}{parts.path}"


def project() -> Project:
    """Return the build project."""
    name = output("ProjectName")
    found = client("codebuild").batch_get_projects(names=[name])["projects"][0]
    return Project(
        name=name, arn=found["arn"], role_arn=found["serviceRole"], source_url=found["source"].get("location", ""),
        source_version=found.get("sourceVersion") or "main",
        buildspec=found["source"].get("buildspec") or "buildspec.yml", image=found["environment"]["image"],
        timeout_minutes=found["timeoutInMinutes"], artifacts=found["artifacts"]["type"],
        variables=tuple(found["environment"].get("environmentVariables", [])))


def filter_groups() -> list[list[dict[str, Any]]]:
    """Return the filter groups of the build project's webhook."""
    return (project_properties(deployed_template()).get("Triggers") or {}).get("FilterGroups", [])


def log_group(project: Project) -> str:
    """Return the name of the log group of the project's builds."""
    template = deployed_template()
    name = project_properties(template).get("LogsConfig", {}).get("CloudWatchLogs", {}).get("GroupName")
    if isinstance(name, dict):
        name = template["Resources"].get(name.get("Ref"), {}).get("Properties", {}).get("LogGroupName")
    return name if isinstance(name, str) else f"/aws/codebuild/{project.name}"


def deployed_template() -> dict[str, Any]:
    """Return the template of the stack: MiniStack's BatchGetProjects leaves out webhook and log group."""
    body = client("cloudformation").get_template(StackName=STACK)["TemplateBody"]
    return yaml.load(body, TemplateLoader) if isinstance(body, str) else body


def project_properties(template: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties of a template's build project."""
    return next(resource["Properties"] for resource in template["Resources"].values()
                if resource["Type"] == "AWS::CodeBuild::Project")


def buildspec_of_template() -> str:
    """Return the path, or the text, of the buildspec that template.yml names; it needs no running account."""
    try:
        template = yaml.load(TEMPLATE.read_text(encoding="utf-8"), TemplateLoader)
        return str(project_properties(template)["Source"].get("BuildSpec") or "buildspec.yml")
    except (OSError, ValueError, yaml.YAMLError, LookupError, TypeError, AttributeError, StopIteration) as error:
        raise Mistake(f"template.yml cannot be read: {error}", "type `git diff template.yml` to see what has changed, "
                      "or name the buildspec: `python3 -m sandbox check buildspec.yml`") from None


class TemplateLoader(LOADER):
    """Read CloudFormation's short forms; of an If it takes the branch that has the connection."""

    def short_form(self, name: str, node: yaml.Node) -> Any:
        if isinstance(node, yaml.ScalarNode):
            return {name: node.value}
        if isinstance(node, yaml.SequenceNode):
            values = self.construct_sequence(node, deep=True)
            return values[1] if name == "If" and len(values) == 3 else {name: values}
        return {name: self.construct_mapping(node, deep=True)}


TemplateLoader.add_multi_constructor("!", TemplateLoader.short_form)


def assume_role(role_arn: str, session_name: str) -> dict[str, str]:
    """Return temporary credentials of a role, as environment variables."""
    answer = client("sts").assume_role(RoleArn=role_arn, RoleSessionName=session_name)["Credentials"]
    return {"AWS_ACCESS_KEY_ID": answer["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": answer["SecretAccessKey"],
            "AWS_SESSION_TOKEN": answer["SessionToken"]}


def live() -> Release:
    """Return the version that the alias points to; raises Mistake if there is none."""
    functions = client("lambda")
    name = output("FunctionName")
    try:
        version = functions.get_alias(FunctionName=name, Name=ALIAS)["FunctionVersion"]
    except functions.exceptions.ResourceNotFoundException:
        raise Mistake(f"the function has no alias {ALIAS}", "type `python3 -m sandbox up`") from None
    found = functions.get_function_configuration(FunctionName=name, Qualifier=version)
    return Release(version, found.get("Description", ""))


def make_live(version: str) -> None:
    """Point the alias at a version, and make it again if somebody has deleted it."""
    functions = client("lambda")
    wanted = {"FunctionName": output("FunctionName"), "Name": ALIAS, "FunctionVersion": version}
    try:
        functions.update_alias(**wanted)
    except functions.exceptions.ResourceNotFoundException:
        functions.create_alias(**wanted)


def withdraw_unchanged() -> str:
    """Withdraw a new version that equals the one before it, and return which one is live.

    On AWS publish-version answers with the latest version if code and configuration are unchanged;
    MiniStack counts each update-function-code as a change.
    https://docs.aws.amazon.com/lambda/latest/api/API_PublishVersion.html
    """
    version, last = live().version, newest_kept()
    known = {int(found.pop("Version")): {key: found.get(key) for key in RELEASED} for found in versions_after(last - 1)}
    if int(version) <= last or known.get(last) != known[int(version)]:
        return version
    make_live(str(last))
    client("lambda").delete_function(FunctionName=output("FunctionName"), Qualifier=version)
    return str(last)


def newest_kept() -> int:
    """Return the highest number of a version that is kept; 1 is the template's own."""
    return max((int(path.stem) for path in RELEASES.glob("*.json")), default=1)


def keep_releases() -> None:
    """Keep a copy of each published version: MiniStack holds them in memory, a killed one forgets them."""
    functions = client("lambda")
    name = output("FunctionName")
    RELEASES.mkdir(exist_ok=True)
    for found in versions_after(newest_kept()):
        where = functions.get_function(FunctionName=name, Qualifier=found["Version"])["Code"]["Location"]
        if not is_loopback(where):
            raise Mistake(f"the account names {where!r} for a release", "type `python3 -m sandbox up`")
        with DIRECT.open(where, timeout=60) as answer:
            (RELEASES / f"{found['Version']}.zip").write_bytes(answer.read())
        write(RELEASES / f"{found['Version']}.json", json.dumps({"description": found.get("Description", "")}))


def versions_after(number: int) -> Iterator[dict[str, Any]]:
    """Yield the published versions with a number above this one, in order."""
    functions = client("lambda")
    name, marker = output("FunctionName"), {"Marker": str(number)} if number else {}
    while True:
        page = functions.list_versions_by_function(FunctionName=name, **marker)
        for found in page["Versions"]:
            if found["Version"] != "$LATEST" and int(found["Version"]) > number:
                yield found
        if not page.get("NextMarker"):
            return
        marker = {"Marker": page["NextMarker"]}


def restore_releases(green: list[str]) -> None:
    """Publish again what the account has forgotten, and see to it that a green version is live.

    `green` names the versions that green builds have left live, the last one first.
    """
    functions = client("lambda")
    name = output("FunctionName")
    last = max(int(found["Version"]) for found in versions_after(0))
    lost = sorted(number for path in RELEASES.glob("*.json") if (number := int(path.stem)) > last)
    if lost:
        say(f"Publishing {len(lost)} version(s) again that the account has lost")
    for number in lost:
        content = (RELEASES / f"{number}.zip").read_bytes()
        description = read_json(RELEASES / f"{number}.json")["description"]
        published = 0
        while published < number:
            if published:  # a number that was withdrawn
                functions.delete_function(FunctionName=name, Qualifier=str(published))
            functions.update_function_code(FunctionName=name, ZipFile=content)
            published = int(functions.publish_version(FunctionName=name, Description=description)["Version"])
    first = "1"  # the template's own, before any build
    try:
        right = not lost and live().version in [*green, first]
    except Mistake:
        right = False
    if not right:
        make_live((green or [first])[0])
