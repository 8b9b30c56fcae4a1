"""The `pip` of a build: pip has the last word, and nothing of its wishes leaves the build."""

import json

import pytest

from sandbox.builds import packages
from sandbox.laptop.paths import IMAGE

INSTALL = "pip install -r requirements.txt"
# A package that needs nothing but itself to be built, and says where that has happened.
BACKEND = """\
import os, pathlib, zipfile

def build_wheel(folder, settings=None, metadata=None):
    pathlib.Path("built-here").touch()
    name = "local-1-py3-none-any.whl"
    info = "local-1.dist-info"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        wheel.writestr("local.py", "WORD = 'from the checkout'\\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: local\\nVersion: 1\\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\n")
        wheel.writestr(f"{info}/RECORD", "")
    return name
"""
PROJECT = """\
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "local"
version = "1"
"""
SHOW = "python -c 'import local; print(local.WORD, local.__file__)'"


@pytest.fixture
def package(quick):
    """A checkout that is a package, and is none again afterwards."""
    quick.write("backend.py", BACKEND)
    quick.write("pyproject.toml", PROJECT)
    yield quick
    (quick.clone / "backend.py").unlink()
    (quick.clone / "pyproject.toml").unlink()
    quick.say("no package any more")
    assert "SUCCEEDED" in quick.push()[-1]


def settled(quick):
    """Wait until the worker has done all that it does after a build."""
    spare = quick.clone / ".sandbox" / "image" / "spare" / "key"
    quick.wait_for(lambda: spare.exists())


def test_local_package_is_installed_in_that_build_alone(package):
    package.say("installs itself", "pip install .", SHOW, "test -e built-here")
    assert "SUCCEEDED" in package.push()[-1]
    assert "\nfrom the checkout " in package.log()
    settled(package)
    left = package.git("status", "--porcelain", "--ignored").stdout.splitlines()
    assert [line for line in left if not line.startswith(("!! .sandbox/", "!! sandbox/"))] == []
    package.say("does not", SHOW)
    assert "FAILED in PRE_BUILD" in package.push()[-1]
    assert "No module named 'local'" in package.log()


def test_install_for_the_user_works_as_without_an_environment(package):
    package.say(
        "installs for the user",
        "pip install --user . && python -m pip uninstall -y local",
        "python -m pip install --user .",
        SHOW,
        'test "$(python -m site --user-base)" = "$HOME/.local"',
    )
    assert "SUCCEEDED" in package.push()[-1]
    assert "/home/.local/lib/python" in package.log().split("from the checkout ")[1]


@pytest.mark.parametrize(
    "before",
    [
        "export PIP_NO_INDEX=1",
        "export PIP_INDEX_URL=http://127.0.0.1:9/simple PIP_RETRIES=0",
        "pip config set global.index-url http://127.0.0.1:9/simple && export PIP_RETRIES=0",
    ],
)
def test_setting_of_pip_reaches_what_installs(quick, before):
    """Although the very packages have been kept ready."""
    quick.say("fills", INSTALL)
    assert "SUCCEEDED" in quick.push()[-1]
    settled(quick)
    quick.say("asks another index", before, INSTALL)
    assert "FAILED in PRE_BUILD" in quick.push()[-1]
    assert "No matching distribution found for iniconfig" in quick.log()
    quick.say("asks the usual one again")
    assert "SUCCEEDED" in quick.push()[-1]


def test_checkout_is_not_on_the_import_path_of_pip_and_aws(quick):
    names = ("json", "string", "email", "select", "token")
    make = f"for name in {' '.join(names)}; do echo 'raise ImportError(name)' > $name.py; done"
    undo = "rm " + " ".join(f"{name}.py" for name in names)
    quick.say("shadows", make, f"{INSTALL} && pip --version && aws --version && {undo}")
    assert "SUCCEEDED" in quick.push()[-1]


WISHES = [
    ".",
    "./x.whl",
    "iniconfig==2.3.1 --hash=sha256:0",
    "-e .",
    "nosuch @ file:///",
    "x" * 70000,
]


@pytest.mark.parametrize("wish", WISHES, ids=[wish[:20] for wish in WISHES])
def test_preparation_follows_no_other_wish_of_a_build(tmp_path, monkeypatch, wish):
    """A build may write anything where its pins are noted."""
    asked = []
    settings = json.loads((IMAGE / "settings.json").read_text()) | {"wanted": "iniconfig==2.3.1"}
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    (tmp_path / "wanted").write_text(wish)
    install = packages.install
    monkeypatch.setattr(packages, "install", lambda *a: (asked.append(a[3]), install(*a)))
    packages.prepare(tmp_path, packages.contextlib.nullcontext())
    assert asked == [settings["pip"], "iniconfig==2.3.1"]
    site = packages.packages_of(tmp_path / "spare" / "full")
    assert (site / "iniconfig").exists()


def test_preparation_runs_nothing_of_a_package(tmp_path):
    """What is there only as a source, which would have to be built, is left to the build."""
    settings = json.loads((IMAGE / "settings.json").read_text())
    (tmp_path / "settings.json").write_text(json.dumps(settings | {"wanted": "sgmllib3k==1.0.0"}))
    packages.prepare(tmp_path, packages.contextlib.nullcontext())
    assert (tmp_path / "spare" / "key").read_text() == packages.key_of(
        "", packages.registry_of_machine()
    )
