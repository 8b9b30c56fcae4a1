"""How anything of ours talks to the account: the AWS CLI, botocore, and their variables."""

from __future__ import annotations

import functools
import os
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sandbox.account import keys
from sandbox.account.emulator import REGION, endpoint
from sandbox.laptop.files import delete, write
from sandbox.laptop.paths import ACCOUNT
from sandbox.laptop.processes import AWS_CLI, clean_environment, run

MAKING = threading.Lock()  # a session makes one client at a time


def aws_environment(credentials: Mapping[str, str], folder: Path | None = None) -> dict[str, str]:
    """Return the variables that make any AWS tool talk to this account and to nothing else.

    `folder` is where `aws configure` writes. What it has written is gone with the next call, and
    without a folder no file is read.
    """
    url = endpoint()
    config = credentials_file = Path(os.devnull)
    if folder:
        config, credentials_file = folder / "config", folder / "credentials"
        folder.mkdir(parents=True, exist_ok=True)
        write(config, f"[default]\nregion = {REGION}\nendpoint_url = {url}\n")
        delete(credentials_file)
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_CONFIG_FILE": str(config),  # has the URL, too: a build may unset the variable
        "AWS_SHARED_CREDENTIALS_FILE": str(credentials_file),
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "false",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_PAGER": "",
        **credentials,
    }


def aws(*arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the real AWS CLI against the account, as its root."""
    env = clean_environment(ACCOUNT / "home") | aws_environment(keys.variables(keys.ROOT))
    return run(*AWS_CLI, *arguments, env=env, check=check)


def client(service: str, credentials: Mapping[str, str] | None = None) -> Any:
    """Return a botocore client for the account, as its root or with a role's credentials."""
    given = credentials or keys.variables(keys.ROOT)
    return make_client(service, endpoint(), tuple(given.items()))


# Each keeps a connection. Of each build's credentials there are a few; no more are kept than two
# builds need.
@functools.lru_cache(maxsize=16)
def make_client(service: str, url: str, credentials: tuple[tuple[str, str], ...]) -> Any:
    import botocore.config  # a quarter of a second that `check` and `url` need not wait for

    env = dict(credentials)
    config = botocore.config.Config(proxies={}, retries={"max_attempts": 2}, read_timeout=60)
    with MAKING:
        return session().create_client(
            service,
            region_name=REGION,
            endpoint_url=url,
            aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=env.get("AWS_SESSION_TOKEN"),
            config=config,
        )


@functools.cache
def session() -> Any:
    """Return a botocore session that reads no file and no profile of the student's."""
    import botocore.session

    made = botocore.session.Session(session_vars={"profile": (None, None, None, None)})
    made.set_config_variable("config_file", os.devnull)
    made.set_config_variable("credentials_file", os.devnull)
    return made


def assume_role(role_arn: str, session_name: str, source_arn: str) -> dict[str, str]:
    """Return temporary credentials of a role, as environment variables.

    `source_arn` is the resource on whose behalf a service asks; a trust policy may look at it.
    """
    sts = client("sts")

    def name_source(params: dict[str, Any], **_: Any) -> None:
        account = source_arn.split(":")[4]
        params["headers"] |= {"x-amz-source-arn": source_arn, "x-amz-source-account": account}

    sts.meta.events.register("before-call.sts.AssumeRole", name_source)
    try:
        answer = sts.assume_role(RoleArn=role_arn, RoleSessionName=session_name)
    finally:
        sts.meta.events.unregister("before-call.sts.AssumeRole", name_source)
    found = answer["Credentials"]
    return {
        "AWS_ACCESS_KEY_ID": found["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": found["SecretAccessKey"],
        "AWS_SESSION_TOKEN": found["SessionToken"],
    }


def refused_action(role_arn: str, session_name: str, actions: list[str], arn: str) -> str:
    """Return AWS's words for the first of these actions that a role may not do, or nothing."""
    asked = client("iam").simulate_principal_policy(
        PolicySourceArn=role_arn, ActionNames=actions, ResourceArns=[arn]
    )
    for found in asked["EvaluationResults"]:
        if found["EvalDecision"] != "allowed":
            who = role_arn.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/")
            return (
                f"AccessDeniedException: User: {who}/{session_name} is not authorized to perform: "
                f"{found['EvalActionName']} on resource: {arn}"
            )
    return ""
