"""The variables of a build: CodeBuild's own, the project's, the buildspec's, and secrets.

https://docs.aws.amazon.com/codebuild/latest/userguide/build-env-ref-env-vars.html
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox import account, fork
from sandbox.buildspec import Buildspec
from sandbox.document import BuildspecError
from sandbox.laptop import CODEBUILD, IMAGE, clean_environment, refuse_foreign_endpoints
from sandbox.log import Log

if TYPE_CHECKING:
    from sandbox.build import Build


def variables_of(build: Build, project: account.Project, spec: Buildspec, src: Path,
                 credentials: dict[str, str], log: Log) -> dict[str, str]:
    """Return the variables of a build; what the project sets wins over the buildspec."""
    region = account.REGION
    own = {
        "CODEBUILD_BUILD_ARN": project.arn.replace(":project/", ":build/") + f":{build.id}",
        "CODEBUILD_BUILD_ID": f"{project.name}:{build.id}",
        "CODEBUILD_BUILD_IMAGE": project.image,
        "CODEBUILD_BUILD_NUMBER": str(build.number),
        "CODEBUILD_BUILD_SUCCEEDING": "1",
        "CODEBUILD_BUILD_URL": f"https://{region}.console.aws.amazon.com/codebuild/home?region={region}"
                               f"#/builds/{project.name}:{build.id}/view/new",
        "CODEBUILD_CI": "true",
        "CODEBUILD_INITIATOR": build.initiator,
        "CODEBUILD_KMS_KEY_ID": f"arn:aws:kms:{region}:{project.arn.split(':')[4]}:alias/aws/s3",
        "CODEBUILD_LAST_EXIT": "0",
        "CODEBUILD_LOG_PATH": build.id,
        "CODEBUILD_RESOLVED_SOURCE_VERSION": build.commit,
        "CODEBUILD_SOURCE_REPO_URL": project.source_url,
        "CODEBUILD_SOURCE_VERSION": build.source_version,
        "CODEBUILD_SRC_DIR": str(src),
        "CODEBUILD_START_TIME": str(int((build.started or time.time()) * 1000)),
    }
    if build.ref:
        kind = "tag" if build.ref.startswith("refs/tags/") else "branch"
        own |= {
            "CODEBUILD_WEBHOOK_ACTOR_ACCOUNT_ID": "0",
            "CODEBUILD_WEBHOOK_EVENT": "PUSH",
            "CODEBUILD_WEBHOOK_HEAD_REF": build.ref,
            "CODEBUILD_WEBHOOK_PREV_COMMIT": build.before or fork.NOTHING,
            "CODEBUILD_WEBHOOK_TRIGGER": f"{kind}/{build.ref.split('/', 2)[-1]}",
        }
    chosen = [("PLAINTEXT", name, value) for name, value in spec.variables.items()]
    chosen += [("PARAMETER_STORE", name, value) for name, value in spec.parameter_store.items()]
    chosen += [("SECRETS_MANAGER", name, value) for name, value in spec.secrets_manager.items()]
    chosen += [(item.get("type", "PLAINTEXT"), item["name"], item["value"]) for item in project.variables]
    values = {}
    for kind, name, value in {name: (kind, name, value) for kind, name, value in chosen}.values():
        if kind != "PLAINTEXT":
            value = secret(kind, value, credentials)
            log.mask([value])
        values[name] = value
    refuse_foreign_endpoints(values)
    base = clean_environment(CODEBUILD / "home", CODEBUILD / "venv" / "bin", IMAGE / "bin")
    # A git command in a build must not find the student's own repository above it.
    base |= {"GIT_CEILING_DIRECTORIES": str(CODEBUILD), "GIT_CONFIG_GLOBAL": str(CODEBUILD / "home" / ".gitconfig"),
             "VIRTUAL_ENV": str(CODEBUILD / "venv"), "TMPDIR": str(CODEBUILD / "tmp")}
    return base | account.aws_environment(credentials) | values | own


def secret(kind: str, reference: str, credentials: dict[str, str]) -> str:
    """Return a value from Parameter Store or Secrets Manager, read with the build role's permissions."""
    import botocore.exceptions

    try:
        if kind == "PARAMETER_STORE":
            found = account.client("ssm", credentials).get_parameters(Names=[reference], WithDecryption=True)
            if not found["Parameters"]:
                raise BuildspecError("Parameter does not exist", f"make it: `aws ssm put-parameter --name {reference} "
                                     "--type SecureString --value …`", code="CLIENT_ERROR")
            return str(found["Parameters"][0]["Value"])
        # An ARN has seven colons of its own before the name's end.
        parts = reference.split(":")
        length = 7 if reference.startswith("arn:") else 1
        name, (key, stage, version) = ":".join(parts[:length]), (parts[length:] + ["", "", ""])[:3]
        chosen = {"VersionId": version} if version else {"VersionStage": stage or "AWSCURRENT"}
        text = account.client("secretsmanager", credentials).get_secret_value(SecretId=name, **chosen)["SecretString"]
        return str(json.loads(text)[key]) if key else str(text)
    except (botocore.exceptions.ClientError, ValueError, KeyError) as error:
        raise BuildspecError(f"Secrets Manager or Parameter Store: {reference}: {error}",
                             "allow it in template.yml's BuildRole, or check the name", code="CLIENT_ERROR") from None
