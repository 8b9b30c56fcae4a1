"""Where MiniStack answers otherwise than AWS: one function for each difference.

Each takes the place of one function of MiniStack's, gets what was there before as its first
argument, and says with a link what AWS does. That MiniStack alone still differs is asked by
tests/account/test_differences.py. All is undone by not calling `install`.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
import sys
from collections.abc import Callable
from typing import Any

Function = Callable[..., Any]
WRAPS: list[tuple[Function, Function]] = []


def wrap(theirs: Function) -> Callable[[Function], Function]:
    """Register the function below to take the place of one of MiniStack's."""

    def register(ours: Function) -> Function:
        WRAPS.append((theirs, ours))
        return ours

    return register


def install() -> None:
    """Put all that the modules here register in its place."""
    for found in pkgutil.iter_modules(__path__, f"{__name__}."):
        importlib.import_module(found.name)
    for theirs, ours in WRAPS:
        module, name = sys.modules[theirs.__module__], theirs.__name__
        setattr(module, name, functools.partial(ours, getattr(module, name)))
