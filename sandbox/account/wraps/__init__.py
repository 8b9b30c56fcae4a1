"""Where MiniStack 1.5.33 answers otherwise than AWS: one function for each difference.

Each takes the place of one name in MiniStack, gets what was there before as its first argument,
and says with a link what AWS does. A name that is gone stops the account at its start; that
MiniStack alone still differs is asked by tests/account/test_differences.py. All is undone by not
calling `install`.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable
from types import ModuleType
from typing import Any

WRITTEN_FOR = "1.5.33"
WRAPS: list[tuple[ModuleType, str, Callable[..., Any]]] = []


def wrap(module: ModuleType, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register the function below to take the place of `module.name`."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        WRAPS.append((module, name, function))
        return function

    return register


def install() -> None:
    """Put all that the modules here register in its place.

    Raises AttributeError for a name that is gone.
    """
    for found in pkgutil.iter_modules(__path__, f"{__name__}."):
        importlib.import_module(found.name)
    for module, name, function in WRAPS:
        setattr(module, name, functools.partial(function, getattr(module, name)))
