"""Persistence: MiniStack's own state, written so that no end of the process loses any of it."""

from __future__ import annotations

import hashlib
import importlib
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

from ministack.core import persistence
from ministack.services import lambda_svc

from sandbox.account import internals
from sandbox.account.wraps import aliases, wrap
from sandbox.laptop.files import flush, write

FOLDER = Path(persistence.STATE_DIR)
CODE = Path(lambda_svc.CODE_BLOB_DIR)
NAMES = "apigateway cloudformation cloudwatch_logs codebuild iam lambda s3 secretsmanager ssm"
SERVICES = {
    name: importlib.import_module(f"ministack.services.{name.replace('lambda', 'lambda_svc')}")
    for name in NAMES.split()
}
READS = re.compile(
    r"\w+:(Assume|BatchGet|Describe|Detect|Filter|Get|Head|Invoke|List|Lookup)", re.IGNORECASE
)
PENDING: set[str] = set()  # services whose change is not on the disk yet
REFERENCE = re.compile(r'"code_blob_ref": "(\w+)"')
FLUSHED: set[str] = set()  # the zips that this process has seen to be on the disk


class Unreadable(Exception):
    """The state is there, and not whole."""


@wrap(internals.prune_code)
def code_stays_while_a_file_names_it(original: Any, referenced: set[str]) -> None:
    """Delete no zip before the file that names it is written anew: see `keep`."""


def note(service: str, action: str | None, principal: str) -> bool:
    """Note and tell if a call changes what a person would miss; a build's are kept at its end."""
    changes = principal != "AssumedRole" and not READS.match(action or "")
    if changes:
        # CloudFormation changes any of them; the log, which is long, changes in most builds.
        keep_log = service in ("logs", "cloudformation")
        PENDING.update(name for name in SERVICES if keep_log or name != "cloudwatch_logs")
    return changes


def keep(*services: str) -> None:
    """Write the state of these services, and of those whose change was noted; raises OSError."""
    PENDING.update(services)
    stacks = [stack for _, stack in internals.stacks.all_items()]
    if any(re.fullmatch("(?!REVIEW).*_IN_PROGRESS", stack["StackStatus"]) for stack in stacks):
        return  # read again, it would be in progress for ever; who waits for it asks again
    FOLDER.mkdir(parents=True, exist_ok=True)
    texts = {name: text_of(name) for name in sorted(PENDING)}
    for code in CODE.glob("*.zip") if texts else ():  # before the file that names it
        if code.name not in FLUSHED:
            flush(code)
            FLUSHED.add(code.name)
    for name, text in texts.items():
        write(FOLDER / f"{name}.json", text)
        PENDING.remove(name)
    if "lambda" in texts:
        internals.prune_code({*REFERENCE.findall(texts["lambda"])})


def text_of(name: str) -> str:
    """Return the state of a service as load_state reads it; this writes the code of versions."""
    formats = persistence.SERVICE_STATE_FORMAT_VERSIONS
    version = formats.get(name, persistence.STATE_FORMAT_VERSION)
    state = {"__ministack_format__": version, "payload": state_of(SERVICES[name])}
    return json.dumps(state, default=internals.as_json)


def state_of(service: ModuleType) -> Any:
    """Return the state of a service, which a function may be logging into meanwhile."""
    while True:
        try:
            return service.get_state()
        except RuntimeError:  # a dictionary has changed its size while it was copied
            continue


def read() -> None:
    """Read the state if there is one; raises Unreadable."""
    if not any(FOLDER.glob("*.json")):
        return
    persistence.PERSIST_STATE = True  # of load_state; when to write is decided here
    for code in CODE.glob("*.zip"):
        if hashlib.sha256(code.read_bytes()).hexdigest() == code.stem:
            FLUSHED.add(code.name)
    for name, service in SERVICES.items():
        try:
            text = (FOLDER / f"{name}.json").read_text(encoding="utf-8")
            missing = {f"{each}.zip" for each in REFERENCE.findall(text)} - FLUSHED
            data = persistence.load_state(name)
            if missing or data is None:
                raise Unreadable(*missing or [f"{name}.json"])
            service.load_persisted_state(data)
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise Unreadable(f"{name}.json: {error}") from None
    aliases.take_back_builds()
