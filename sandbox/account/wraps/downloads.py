"""Lambda: where the code of a version is downloaded, and by whom."""

from __future__ import annotations

import json
import os
from typing import Any

from ministack.services import lambda_svc

from sandbox.account import internals, state
from sandbox.account.wraps import wrap
from sandbox.account.wraps.awslambda import drawn

PLACE = "/_sandbox/code/"  # and a region, a function and a version


@wrap(internals.get_function)
def code_of_a_version_is_that_version_s(
    original: Any, name: str, qualifier: str | None = None
) -> Any:
    """Name the code of the version that was asked for, at an address that only this answer knows.

    MiniStack gives out $LATEST's for all, with a signature that is the same for everybody.
    https://docs.aws.amazon.com/lambda/latest/api/API_FunctionCodeLocation.html
    """
    status, headers, body = original(name, qualifier)
    if status != 200:
        return status, headers, body
    answer = json.loads(body)
    if answer["Code"].get("RepositoryType") == "S3":
        version = answer["Configuration"]["Version"]
        path = f"{PLACE}{lambda_svc.get_region()}/{name}/{version}"
        address = f"http://127.0.0.1:{os.environ['GATEWAY_PORT']}{path}"
        answer["Code"]["Location"] = f"{address}?proof={state.proof(path)}"
    return lambda_svc.json_response(answer)


def content(path: str) -> bytes:
    """Return the code at the path of such an address."""
    region, name, version = path.removeprefix(PLACE).split("/")
    func = internals.functions.get_scoped(lambda_svc.get_account_id(), region, name)
    _, record = drawn(func, version)
    return (record or {}).get("code_zip") or b""
