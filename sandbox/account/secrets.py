"""Parameter Store and Secrets Manager, read with the build role's permissions."""

from __future__ import annotations

import json
from collections.abc import Mapping

from sandbox.account.clients import client
from sandbox.codebuild.buildspec import BuildspecError


def read(kind: str, reference: str, credentials: Mapping[str, str]) -> str:
    """Return a secret; `kind` is PARAMETER_STORE or SECRETS_MANAGER.

    Raises BuildspecError, as its name stands in the buildspec or the project.
    """
    import botocore.exceptions

    try:
        if kind == "PARAMETER_STORE":
            return parameter(reference, credentials)
        return secret(reference, credentials)
    except (botocore.exceptions.ClientError, ValueError, LookupError, TypeError) as error:
        raise BuildspecError(
            f"Secrets Manager or Parameter Store: {reference}: {error}",
            "allow it in template.yml's BuildRole, or check the name",
            code="CLIENT_ERROR",
        ) from None


def parameter(name: str, credentials: Mapping[str, str]) -> str:
    """Return a parameter's value."""
    parameters = client("ssm", credentials)
    found = parameters.get_parameters(Names=[name], WithDecryption=True)["Parameters"]
    if not found:
        raise BuildspecError(
            "Parameter does not exist",
            f"make it: `aws ssm put-parameter --name {name} --type SecureString --value …`",
            code="CLIENT_ERROR",
        )
    return str(found[0]["Value"])


def secret(reference: str, credentials: Mapping[str, str]) -> str:
    """Return a secret's text, or one key of it: `id[:key[:stage[:version]]]`."""
    # An ARN has seven colons of its own before the name's end.
    parts = reference.split(":")
    length = 7 if reference.startswith("arn:") else 1
    name = ":".join(parts[:length])
    key, stage, version = [*parts[length:], "", "", ""][:3]
    chosen = {"VersionId": version} if version else {"VersionStage": stage or "AWSCURRENT"}
    secrets = client("secretsmanager", credentials)
    text = secrets.get_secret_value(SecretId=name, **chosen)["SecretString"]
    found = json.loads(text)[key] if key else text
    # What is no text keeps JSON's own spelling; the guide does not say what CodeBuild makes of it.
    return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)
