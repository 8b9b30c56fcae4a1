"""The build role's credentials, which a build fetches as in a container of CodeBuild."""

import json
import urllib.error
import urllib.request

import pytest

from sandbox.builds.credentials import served
from sandbox.laptop.network import direct

FOUND = {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "S", "AWS_SESSION_TOKEN": "T"}


@pytest.fixture
def asked():
    """How often the account was asked."""
    return []


@pytest.fixture
def address(asked):
    """The variables that a build gets."""
    with served(lambda: asked.append(1) or FOUND, "arn:aws:iam::000000000000:role/x") as found:
        yield found


def ask(address, path="", **headers):
    given = {"Authorization": address["AWS_CONTAINER_AUTHORIZATION_TOKEN"]} | headers
    url = address["AWS_CONTAINER_CREDENTIALS_FULL_URI"] + path
    with direct().open(urllib.request.Request(url, headers=given), timeout=30) as answer:
        return json.loads(answer.read())


def test_credentials_are_in_the_form_of_a_container(address, asked):
    found = ask(address)
    assert found.pop("Expiration").endswith("Z")
    assert found == {
        "RoleArn": "arn:aws:iam::000000000000:role/x",
        "AccessKeyId": "A",
        "SecretAccessKey": "S",
        "Token": "T",
    }
    ask(address)
    assert asked == [1]


@pytest.mark.parametrize(
    "path, headers",
    [
        ("", {"Authorization": ""}),
        ("", {"Authorization": "x" * 43}),
        ("", {"Host": "evil.example"}),
        ("x", {}),
        ("/..", {}),
    ],
)
def test_nobody_else_is_answered(address, asked, path, headers):
    with pytest.raises(urllib.error.HTTPError, match="403"):
        ask(address, path, **headers)
    assert asked == []


def test_address_is_gone_with_the_build():
    with served(lambda: FOUND, "arn") as address:
        ask(address)
    with pytest.raises(urllib.error.URLError):
        ask(address)


def test_build_role_comes_back_after_another_and_as_a_source(quick):
    who = "aws sts get-caller-identity --query Arn --output text"
    profile = "[profile other]\\nrole_arn = arn:aws:iam::000000000000:role/no-such\\n"
    profile += "credential_source = EcsContainer\\n"
    quick.run(
        "asks who it is",
        "! env | grep -e ^AWS_ACCESS_KEY_ID -e ^AWS_SECRET_ACCESS_KEY -e ^AWS_SESSION_TOKEN",
        f"export AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=y && ! {who}",
        f"unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY && {who} | grep AWSCodeBuild-",
        f'cp "$AWS_CONFIG_FILE" ~/config && printf "{profile}" >> ~/config',
        "! AWS_CONFIG_FILE=~/config aws --profile other sts get-caller-identity 2> ~/said",
        "grep 'AccessDenied.*AWSCodeBuild-.*sts:AssumeRole' ~/said",
    )
    assert "SUCCEEDED" in quick.push()[-1], quick.log()


def test_what_a_build_configures_is_gone_in_the_next(quick):
    """Also if it was typed in the terminal of `eval`."""
    who = "aws sts get-caller-identity --query Arn --output text"
    for name in ("aws_access_key_id", "aws_secret_access_key"):
        quick.aws("configure", "set", name, "x")
    quick.run(
        "configures",
        "aws configure set aws_access_key_id x && aws configure set aws_secret_access_key y",
        f"aws configure set region eu-west-1 && ! {who} && grep x ~/.aws/credentials",
        "aws configure set output table",
        "rm ~/.aws/credentials",
    )
    assert "SUCCEEDED" in quick.push()[-1], quick.log()
    quick.run("has no settings", f"{who} | grep AWSCodeBuild- && test ! -e ~/.aws/credentials")
    assert "SUCCEEDED" in quick.push()[-1], quick.log()
    assert "hello-user" in quick.up() + quick.aws("cloudformation", "list-stacks").stdout
