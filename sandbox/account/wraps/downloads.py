"""Lambda: where the code of a version is downloaded, and by whom."""

from __future__ import annotations

import json
import os
from typing import Any
from urllib.parse import unquote

from ministack.services import lambda_svc

from sandbox.account import internals, state
from sandbox.account.wraps import wrap


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
        owner = f"{lambda_svc.get_account_id()}/{lambda_svc.get_region()}"
        path = f"/_ministack/lambda-code/{owner}/{name}:{version}"
        address = f"http://127.0.0.1:{os.environ['GATEWAY_PORT']}{path}"
        answer["Code"]["Location"] = f"{address}?proof={state.proof(path)}"
    return lambda_svc.json_response(answer)


@wrap(lambda_svc.serve_function_code)
def download_is_of_one_version(
    original: Any, name: str, account_id: str | None = None, region: str | None = None
) -> Any:
    """Serve the code of the version that the address names."""
    name, _, version = unquote(name).partition(":")
    func = internals.functions.get_scoped(account_id, region, name)
    record = func and (func["versions"].get(version) if version.isdecimal() else func)
    if not record:
        return original(name, account_id, region)
    return 200, {"Content-Type": "application/zip"}, record.get("code_zip") or b""
