"""Secrets: they reach the build that may read them, and no log and no record."""

import json

import pytest


@pytest.fixture
def secrets(quick):
    """A parameter and a secret, and a build role that may read them."""
    roles, name = quick.client("iam"), "secrets"
    [role] = [
        item["RoleName"] for item in roles.list_roles()["Roles"] if "BuildRole" in item["RoleName"]
    ]
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["ssm:GetParameters", "secretsmanager:GetSecretValue"],
                "Resource": "*",
            }
        ],
    }
    roles.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(policy))
    quick.client("ssm").put_parameter(
        Name="/app/key", Type="SecureString", Value="parameter-1234", Overwrite=True
    )
    quick.client("secretsmanager").create_secret(
        Name="app", SecretString=json.dumps({"word": "secret-5678", "list": [True, "a"]})
    )
    yield
    roles.delete_role_policy(RoleName=role, PolicyName=name)
    quick.client("ssm").delete_parameter(Name="/app/key")
    quick.client("secretsmanager").delete_secret(SecretId="app", ForceDeleteWithoutRecovery=True)


SECRETS = """\
version: 0.2
env:
  parameter-store: {KEY: /app/key}
  secrets-manager: {WORD: "app:word", ALL: app, LIST: "app:list"}
  exported-variables: [KEY, WORD, COPY]
phases:
  build:
    commands:
      - test "$KEY/$WORD" = parameter-1234/secret-5678 && echo right
      - echo "$KEY and $WORD and $ALL"
      - printf 'parame'; sleep 0.2; echo 'ter-1234'
      - printf %s "$WORD" | base64
      - printf %s "$LIST" | tr '[]' '()'
      - export COPY="--- $KEY ---"
"""


def build(someone, text):
    """Push a buildspec and return its build's record and log."""
    someone.write("buildspec.yml", text)
    someone.commit("Another buildspec")
    someone.push()
    return someone.builds()[-1], someone.log()


def test_secrets_reach_the_build_and_not_the_log(quick, secrets):
    record, text = build(quick, SECRETS)
    assert record["status"] == "SUCCEEDED", text
    assert "\nright\n" in text
    assert "\n*** and *** and ***\n" in text
    assert "\n***\n" in text
    assert '(true, "a")' in text
    assert "parameter-1234" not in text
    assert "secret-5678" not in text.replace("/secret-5678", "")
    assert "c2VjcmV0LTU2Nzg=" in text  # masked by exact value only, as on AWS
    assert record["exported"] == {"COPY": "--- *** ---"}
    assert "parameter-1234" not in json.dumps(record)


EXPORTS = """\
version: 0.2
env: {exported-variables: [KEY, PLAIN]}
phases: {build: {commands: ['test "$KEY" = parameter-1234']}}
"""


def test_secret_of_the_project_is_not_exported(quick, secrets):
    projects = quick.client("codebuild")
    before = projects.batch_get_projects(names=["hello_user"])["projects"][0]["environment"]
    variables = [
        {"name": "KEY", "type": "PARAMETER_STORE", "value": "/app/key"},
        {"name": "PLAIN", "value": "seen"},
    ]
    changed = before | {"environmentVariables": variables}
    projects.update_project(name="hello_user", environment=changed)
    try:
        record, text = build(quick, EXPORTS)
    finally:
        projects.update_project(name="hello_user", environment=before)
    assert record["status"] == "SUCCEEDED", text
    assert record["exported"] == {"PLAIN": "seen"}


def test_parameter_that_the_build_role_may_not_read_fails_the_download(quick):
    record, text = build(
        quick,
        "version: 0.2\nenv: {parameter-store: {KEY: /no/such}}\n"
        "phases: {build: {commands: [echo ran]}}\n",
    )
    assert (record["status"], record["phase"]) == ("FAILED", "DOWNLOAD_SOURCE")
    assert "AccessDenied" in text
    assert "\nran\n" not in text


def test_secret_that_is_missing_fails_the_download(quick, secrets):
    for env, message in (
        ("parameter-store: {KEY: /app/other}", "Parameter does not exist"),
        ("secrets-manager: {WORD: other}", "ResourceNotFoundException"),
        ("secrets-manager: {WORD: 'app:other'}", "other"),
    ):
        spec = f"version: 0.2\nenv:\n  {env}\nphases: {{build: {{commands: [echo ran]}}}}\n"
        record, _ = build(quick, spec)
        assert (record["status"], record["phase"]) == ("FAILED", "DOWNLOAD_SOURCE"), env
        assert message in record["reason"]
        assert record["hint"], env
    quick.say("green again")
    assert "SUCCEEDED" in quick.push()[-1]
