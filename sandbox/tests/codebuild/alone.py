"""Run builds with the runner alone, in a process apart: a request a line in, an answer a line out.

Apart, because a shell that closes ends all that its process has started.
"""

import base64
import dataclasses
import json
import os
import sys
import tempfile
import traceback
from pathlib import Path

from sandbox.builds import junit
from sandbox.codebuild import runner
from sandbox.codebuild.buildspec import BuildspecError
from sandbox.codebuild.log import Log
from sandbox.codebuild.project import Project, Request
from sandbox.codebuild.reports import Service

COMMIT = "c" * 40
PROJECT = {
    "name": "hello_user",
    "arn": "arn:aws:codebuild:us-east-1:000000000000:project/hello_user",
    "source_url": "https://github.com/you/hello-user.git",
    "timeout_minutes": 10,
    "variables": (
        {"name": "FUNCTION_NAME", "value": "hello_user"},
        {"name": "ALIAS_NAME", "value": "live"},
    ),
}


def run(folder: Path, asked: dict) -> dict:
    """Run one build and return its outcome and its log."""
    work = folder / "work"

    def check_out(source):
        if asked["buildspec"] is None:
            (source / "README.md").touch()
        else:
            (source / "buildspec.yml").write_bytes(base64.b64decode(asked["buildspec"]))

    def environment(chosen):
        own = {"PATH": os.environ["PATH"], "HOME": str(work / "home"), "LANG": "C.UTF-8"}
        region = dict.fromkeys(("AWS_REGION", "AWS_DEFAULT_REGION"), "us-east-1")
        return own | region | {"TMPDIR": str(work / "tmp")} | chosen

    def secret(kind, reference):
        if reference not in asked["secrets"]:
            raise BuildspecError("Parameter does not exist", "make it", code="CLIENT_ERROR")
        return asked["secrets"][reference]

    request = Request(
        number=1,
        id="an-id",
        commit=COMMIT,
        source_version=COMMIT if asked["ref"] else "main",
        initiator="GitHub-Hookshot/sandbox" if asked["ref"] else "root",
        submitted=0.0,
        ref=asked["ref"],
        before="0" * 40 if asked["ref"] else None,
    )
    log = Log(folder / "log", **asked["log"])
    project = Project(**PROJECT | asked["project"])

    def refusal(actions, arn):
        denied = [action for action in actions if action in asked["denied"]]
        return f"AccessDeniedException: {denied[0]} on resource: {arn}" if denied else ""

    service = Service(junit.cases, refusal)
    machine = runner.Machine(work, check_out, environment, secret, service)
    outcome = runner.run(request, project, machine, log)
    log.close()
    raw = base64.b64encode((folder / "log").read_bytes()).decode()
    said = {"status": outcome.status, "phase": outcome.phase, "reason": outcome.reason}
    said |= {"reports": [dataclasses.asdict(report) for report in outcome.reports]}
    said |= {"hint": outcome.hint, "exported": dict(outcome.exported)}
    return said | {"log": raw, "folder": str(work), "commit": COMMIT}


if __name__ == "__main__":
    for line in sys.stdin:
        with tempfile.TemporaryDirectory(prefix="codebuild-", ignore_cleanup_errors=True) as name:
            try:
                answer = run(Path(name).resolve(), json.loads(line))
            except Exception:
                answer = {"traceback": traceback.format_exc()}
            print(json.dumps(answer), flush=True)
