"""The house: which room may know which, how large a file may be, and what clean means."""

import ast
import subprocess
import sys
from pathlib import Path

import parso
import pytest

from sandbox.laptop.paths import ROOT

SANDBOX = ROOT / "sandbox"
# Each room and the rooms that it may import; a room knows itself, and all know sandbox.Mistake.
ROOMS = {
    "codebuild": set(),
    "laptop": set(),
    "account": {"laptop", "codebuild"},
    "fork": {"laptop", "codebuild"},
    "builds": {"fork", "account", "laptop", "codebuild"},
    "console": {"builds", "fork", "account", "laptop", "codebuild"},
    "dev": {"laptop"},
    "commands": {"console", "builds", "fork", "account", "laptop", "codebuild"},
    "cli": {"commands", "dev", "builds", "laptop"},
    "__main__": {"cli"},
}
ALONE = {"yaml", "psutil"}  # what the runner needs beside the standard library
MODULES = [path for path in SANDBOX.rglob("*.py") if "tests" not in path.parts]


def imports_of(path):
    """Return the full names of the modules that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are written in full"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def module_of(path):
    """Return the dotted name of a file."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def room_of(name):
    """Return the room of a module of ours."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else ""


NAMES = {module_of(path): path for path in MODULES}


def known(name):
    """Return the module that an imported name is in or is."""
    while name and name not in NAMES:
        name = name.rpartition(".")[0]
    return name


GRAPH = {
    module: {known(name) for name in imports_of(path) if known(name)} - {"sandbox", module}
    for module, path in NAMES.items()
}


def test_rooms_are_all_named_here():
    rooms = {room_of(name) for name in NAMES} - {"", "conftest"}
    assert rooms == set(ROOMS)


@pytest.mark.parametrize("module", sorted(GRAPH))
def test_imports_point_one_way(module):
    room = room_of(module)
    for other in GRAPH[module]:
        assert room_of(other) in ROOMS.get(room, set()) | {room}, f"{module} imports {other}"


def test_imports_have_no_circle():
    left = dict(GRAPH)
    while left:
        free = [module for module, others in left.items() if not others & left.keys()]
        assert free, f"a circle among {sorted(left)}"
        for module in free:
            del left[module]


def test_codebuild_needs_nothing_of_the_laptop():
    for module, path in NAMES.items():
        if room_of(module) == "codebuild":
            for name in imports_of(path):
                top = name.split(".")[0]
                own = name.startswith("sandbox.codebuild.")
                assert own or top in sys.stdlib_module_names | ALONE, f"{module} imports {name}"


def test_rooms_say_what_they_are_for():
    for room in {path.parent for path in MODULES if path.parent != SANDBOX}:
        assert len(ast.get_docstring(ast.parse((room / "__init__.py").read_text())).split()) > 5


def test_modules_have_names_of_their_own():
    names = [path.stem for path in MODULES if not path.stem.startswith("__")]
    assert {name for name in names if names.count(name) > 1} == set()


@pytest.mark.parametrize("path", MODULES, ids=module_of)
def test_file_is_short(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 300
    assert max(map(len, lines), default=0) <= 100


@pytest.mark.parametrize("name", ["__init__.py", "__main__.py"])
def test_old_python_can_read_the_line_that_it_is_told(name):
    """A Python that cannot read the whole file says SyntaxError in place of what to install."""
    grammar = parso.load_grammar(version="2.7")
    text = (SANDBOX / name).read_text(encoding="ascii")
    assert [error.message for error in grammar.iter_errors(grammar.parse(text))] == []


def run(*command):
    done = subprocess.run(
        [Path(sys.prefix) / "bin" / command[0], *command[1:]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_code_is_formatted():
    run("ruff", "format", "--no-cache", "--check", "sandbox")


def test_code_has_no_findings():
    run("ruff", "check", "--no-cache", "sandbox")


def test_types_are_right(tmp_path):
    run(
        *("mypy", "--config-file", "sandbox/pyproject.toml", "--cache-dir", tmp_path),
        *("-p", "sandbox"),
    )
