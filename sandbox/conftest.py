"""The sandbox's own tests run when `sandbox` is named; plain `pytest` runs the student's only."""

import signal
from pathlib import Path

import pytest

HERE = Path(__file__).parent
# What takes longest comes first, so that at the end no worker has one of these all alone.
LONGEST = (
    *("path", "faults", "readme", "browser", "live", "gone", "packages", "pip", "verdict"),
    *("security", "settings", "differences", "moved", "pages", "smoke", "screen", "releases"),
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--long",
        action="store_true",
        help="run hundreds of generated pushes too; takes half an hour",
    )
    parser.addoption(
        "--draw", action="store_true", help="draw the pictures of README.md from the pushes in it"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "long: runs only with --long")
    # A shell lets what it starts with `&` ignore Ctrl-C, and children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("long") and not config.getoption("--long"):
            item.add_marker(pytest.mark.skip(reason="runs with --long"))
    items.sort(key=lambda item: rank(item.path.stem.removeprefix("test_")))  # a stable order


def rank(name: str) -> int:
    """Return the place of a file among those that take longest, which is before all others."""
    return LONGEST.index(name) if name in LONGEST else len(LONGEST)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    named = [
        (config.invocation_params.dir / str(argument).split("::")[0]).resolve()
        for argument in config.args
    ]
    if not any(path == HERE or HERE in path.parents for path in named):
        return True
    return None
