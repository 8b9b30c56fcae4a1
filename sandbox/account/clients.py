"""How anything of ours talks to the account: the AWS CLI, botocore, and their variables."""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sandbox.account.emulator import CONFIG, REGION, endpoint
from sandbox.laptop.paths import ACCOUNT, IMAGE
from sandbox.laptop.processes import clean_environment, run

NO_FILE = str(ACCOUNT / "no-such-file")


def aws_environment(credentials: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables that make any AWS tool talk to this account and to nothing else."""
    keys = credentials or {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    return {
        "AWS_ENDPOINT_URL": endpoint(),
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_CONFIG_FILE": str(CONFIG),  # has the URL, too: a build may unset the variable
        "AWS_SHARED_CREDENTIALS_FILE": NO_FILE,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_PAGER": "",
        **keys,
    }


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
        service,
        region_name=REGION,
        endpoint_url=url,
        aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=env.get("AWS_SESSION_TOKEN"),
        config=botocore.config.Config(proxies={}, retries={"max_attempts": 2}, read_timeout=60),
    )


@functools.cache
def session() -> Any:
    """Return a botocore session that reads no file and no profile of the student's."""
    import botocore.session

    made = botocore.session.Session(session_vars={"profile": (None, None, None, None)})
    made.set_config_variable("config_file", NO_FILE)
    made.set_config_variable("credentials_file", NO_FILE)
    return made


def assume_role(role_arn: str, session_name: str) -> dict[str, str]:
    """Return temporary credentials of a role, as environment variables."""
    answer = client("sts").assume_role(RoleArn=role_arn, RoleSessionName=session_name)
    found = answer["Credentials"]
    return {
        "AWS_ACCESS_KEY_ID": found["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": found["SecretAccessKey"],
        "AWS_SESSION_TOKEN": found["SessionToken"],
    }
