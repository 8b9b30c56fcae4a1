"""CloudFormation: what a stack makes of a template."""

from __future__ import annotations

from typing import Any

from sandbox.account import internals
from sandbox.account.wraps import wrap


@wrap(internals.zip_inline)
def inline_code_is_index_py(original: Any, source: Any, handler: str, *runtime: str) -> Any:
    """Put a template's inline code into index.py, whatever the handler is called.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/, the page
    aws-properties-lambda-function-code.html
    """
    return original(source, "index.handler", *runtime)
