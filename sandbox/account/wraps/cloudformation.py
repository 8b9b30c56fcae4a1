"""CloudFormation: what a stack makes of a template."""

from __future__ import annotations

import io
import zipfile
from typing import Any

from sandbox.account import internals
from sandbox.account.wraps import wrap


@wrap(internals.zip_inline)
def inline_code_is_index_py(_: Any, source: Any, handler: str, runtime: str = "") -> bytes | None:
    """Put a template's inline code into index.py, whatever the handler is called, for all to read.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/, the page
    aws-properties-lambda-function-code.html
    """
    if not source:
        return None
    stream = io.BytesIO()
    entry = zipfile.ZipInfo("index.js" if runtime.startswith("nodejs") else "index.py")
    entry.external_attr = 0o100644 << 16
    with zipfile.ZipFile(stream, "w") as code:
        code.writestr(entry, source)
    return stream.getvalue()
