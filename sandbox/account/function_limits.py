"""What Lambda refuses of a function: names, sizes, variables; in its own words.

https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import re
import zipfile
from collections.abc import Mapping
from typing import Any

Refusal = tuple[str, str, int]  # the error's name, its text, the status
EVENT = 6_291_456  # bytes of an event; an answer may have 100 more
ZIP = 52_428_800  # bytes of a zip that is uploaded
VARIABLES = 4096  # bytes of all variables
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
RESERVED = {
    *("_HANDLER", "_X_AMZN_TRACE_ID", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_EXECUTION_ENV"),
    *("AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE"),
    *("AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_INITIALIZATION_TYPE"),
    *("AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_LAMBDA_RUNTIME_API"),
    *("AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    *("LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR", "AWS_LAMBDA_MAX_CONCURRENCY"),
}
UNABLE = (
    "Lambda was unable to configure your environment variables because the environment variables "
    "you have provided "
)
# Where a text may stand in a call, how long it may be, and what it may be made of.
TEXTS = (
    ("Description", "description", 256, ""),
    ("FunctionName", "functionName", 64, "[a-zA-Z0-9-_]+"),  # an ARN is MiniStack's to judge
    ("Name", "name", 128, "(?!^[0-9]+$)([a-zA-Z0-9-_]+)"),
)


def refusal(data: Mapping[str, Any]) -> Refusal | None:
    """Return why Lambda refuses a call, or a function of a template, with these properties."""
    for key, name, longest, pattern in TEXTS:
        text = data.get(key)
        if isinstance(text, str) and not (key == "FunctionName" and ":" in text):
            why = ""
            if len(text) > longest:
                why = f"have length less than or equal to {longest}"
            elif pattern and not re.fullmatch(pattern, text):
                why = f"satisfy regular expression pattern: {pattern}"
            if why:
                return invalid(f"Value '{text}' at '{name}'", f"Member must {why}")
    environment = data.get("Environment")
    variables = environment.get("Variables") if isinstance(environment, dict) else None
    return refused_variables(variables) if isinstance(variables, dict) else None


def invalid(what: str, constraint: str) -> Refusal:
    """Return a refusal as AWS words what breaks a rule of the API's model."""
    text = f"1 validation error detected: {what} failed to satisfy constraint: {constraint}"
    return "ValidationException", text, 400


def refused_variables(variables: Mapping[str, Any]) -> Refusal | None:
    """Return why a function may not have these variables, or None."""
    pattern = "[a-zA-Z]([a-zA-Z0-9_])+"
    if any(not re.fullmatch(pattern, name) for name in variables):
        rule = f"Member must satisfy regular expression pattern: {pattern}"
        rule = f"Map keys must satisfy constraint: [{rule}]"
        return invalid("Value at 'environment.variables'", rule)
    if reserved := sorted(RESERVED & variables.keys()):
        text = (
            "contains reserved keys that are currently not supported for modification. "
            f"Reserved keys used in this request: {', '.join(reserved)}"
        )
        return "InvalidParameterValueException", UNABLE + text, 400
    measured = json.dumps(variables, separators=(",", ":"), ensure_ascii=False)
    if len(measured.encode()) > VARIABLES:
        text = f"exceeded the 4KB limit. String measured: {measured}"
        return "InvalidParameterValueException", UNABLE + text, 400
    return None


def refused_zip(text: str) -> Refusal | None:
    """Return why Lambda does not take a zip, given in base64, or None.

    An empty one, with these words: https://github.com/aws-samples/amazon-textract-a2i-pdf/issues/5
    """
    try:
        content = base64.b64decode(text)
        names = zipfile.ZipFile(io.BytesIO(content)).namelist()
    except (binascii.Error, zipfile.BadZipFile, OSError):
        return None  # MiniStack says the same as Lambda
    if len(content) > ZIP:
        text = f"Zipped size must be smaller than {ZIP} bytes"
        return "RequestEntityTooLargeException", text, 413
    if not names:
        return "InvalidParameterValueException", "Uploaded file must be a non-empty zip", 400
    return None


def refused_event(body: bytes) -> Refusal | None:
    """Return why Lambda does not take an event, or None."""
    if len(body) > EVENT:
        text = f"Request must be smaller than {EVENT} bytes for the InvokeFunction operation"
        return "RequestEntityTooLargeException", text, 413
    try:
        json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        text = f"Could not parse request body into json: Could not parse payload into json: {error}"
        return "InvalidRequestContentException", text, 400
    return None
