"""The variables of a build: CodeBuild's own, the project's, the buildspec's, and secrets.

https://docs.aws.amazon.com/codebuild/latest/userguide/build-env-ref-env-vars.html
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from sandbox.codebuild.buildspec import Buildspec
from sandbox.codebuild.log import Log
from sandbox.codebuild.project import NO_COMMIT, Project, Request

# Answers with a secret, given its kind (PARAMETER_STORE or SECRETS_MANAGER) and its reference.
Secret = Callable[[str, str], str]


def own_variables(request: Request, project: Project, src: Path) -> dict[str, str]:
    """Return the variables that CodeBuild itself sets, and nobody else can."""
    region = project.region
    build_id = f"{project.name}:{request.id}"
    own = {
        "CODEBUILD_BUILD_ARN": project.arn.replace(":project/", ":build/") + f":{request.id}",
        "CODEBUILD_BUILD_ID": build_id,
        "CODEBUILD_BUILD_IMAGE": project.image,
        "CODEBUILD_BUILD_NUMBER": str(request.number),
        "CODEBUILD_BUILD_SUCCEEDING": "1",
        "CODEBUILD_BUILD_URL": f"https://{region}.console.aws.amazon.com/codebuild/home"
        f"?region={region}#/builds/{build_id}/view/new",
        "CODEBUILD_CI": "true",
        "CODEBUILD_INITIATOR": request.initiator,
        "CODEBUILD_KMS_KEY_ID": f"arn:aws:kms:{region}:{project.account_id}:alias/aws/s3",
        "CODEBUILD_LAST_EXIT": "0",
        "CODEBUILD_LOG_PATH": request.id,
        "CODEBUILD_RESOLVED_SOURCE_VERSION": request.commit,
        "CODEBUILD_SOURCE_REPO_URL": project.source_url,
        "CODEBUILD_SOURCE_VERSION": request.source_version,
        "CODEBUILD_SRC_DIR": str(src),
        "CODEBUILD_START_TIME": str(int((request.started or time.time()) * 1000)),
    }
    if request.ref:
        kind = "tag" if request.ref.startswith("refs/tags/") else "branch"
        own |= {
            "CODEBUILD_WEBHOOK_ACTOR_ACCOUNT_ID": "0",
            "CODEBUILD_WEBHOOK_EVENT": "PUSH",
            "CODEBUILD_WEBHOOK_HEAD_REF": request.ref,
            "CODEBUILD_WEBHOOK_PREV_COMMIT": request.before or NO_COMMIT,
            "CODEBUILD_WEBHOOK_TRIGGER": f"{kind}/{request.ref.split('/', 2)[-1]}",
        }
    return own


def chosen_variables(spec: Buildspec, project: Project, secret: Secret, log: Log) -> dict[str, str]:
    """Return what buildspec and project set; what the project sets wins. Secrets get masked."""
    values = {}
    for item in {item["name"]: item for item in (*spec.variables, *project.variables)}.values():
        name = item["name"]
        kind, value = item.get("type", "PLAINTEXT"), item["value"]
        log.mark("variable", name=name, kind=kind, value=value)  # of a secret, where it is kept
        if kind != "PLAINTEXT":
            value = secret(kind, value)
            log.mask([value])
        values[name] = value
    return values


def exportable(spec: Buildspec, project: Project) -> list[str]:
    """Return the names that a build may export: no secrets and no AWS_ names.

    https://docs.aws.amazon.com/codebuild/latest/userguide/build-spec-ref.html
    """
    chosen = (*spec.variables, *project.variables)
    secrets = {item["name"] for item in chosen if item.get("type", "PLAINTEXT") != "PLAINTEXT"}
    allowed = [name for name in spec.exported_variables if not name.startswith("AWS_")]
    return [name for name in allowed if name not in secrets]
