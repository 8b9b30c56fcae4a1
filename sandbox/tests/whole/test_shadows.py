"""Files in the repository's root that are named like modules of the standard library."""

import sys

import pytest

from clones import PYTHON
from students import measures

pytestmark = pytest.mark.skipif(bool(measures()), reason="counting lines loads more than we do")

# Python itself loads these before anything of ours, with the current directory first on its path:
# `python3 -m` of whatever ends there. `python3 sandbox up` does not.
ITS_OWN = {
    *("collections", "contextlib", "functools", "importlib", "keyword", "operator", "reprlib"),
    *("runpy", "types", "warnings", "io", "abc", "os", "site", "stat", "codecs", "encodings"),
}
NAMES = sorted(
    name for name in sys.stdlib_module_names if not name.startswith("_") and name not in ITS_OWN
)


@pytest.fixture
def shadowed(quick):
    """A clone with a broken file for each module of the standard library."""
    for name in NAMES:
        quick.write(f"{name}.py", f"raise ImportError('this is not {name}')\n")
    yield quick
    for name in [*NAMES, *ITS_OWN]:
        (quick.clone / f"{name}.py").unlink(missing_ok=True)


def test_commands_and_a_push_work_beside_them(shadowed):
    url = shadowed.url()
    assert shadowed.sandbox("url").stdout.strip() == url
    assert shadowed.sandbox("up").stdout.startswith(url)
    shadowed.sandbox("check", "buildspec.yml")
    shadowed.sandbox("env")
    shadowed.say("beside them", "rm -f *.py && git checkout -q hello_user.py")
    assert "SUCCEEDED" in shadowed.push()[-1]
    assert shadowed.message() == "beside them"
    for name in NAMES:
        (shadowed.clone / f"{name}.py").unlink()
    shadowed.say("without them")
    shadowed.push()


@pytest.mark.parametrize("words", [["sandbox"], ["sandbox/__main__.py"]])
def test_path_in_place_of_a_module_works_beside_them_all(shadowed, words):
    for name in ITS_OWN:
        shadowed.write(f"{name}.py", f"raise ImportError('this is not {name}')\n")
    said = shadowed.type(PYTHON, *words, "url").stdout
    assert said.strip() == shadowed.url()
