"""The `pip` of a build: pip has the last word, and nothing of its wishes leaves the build."""

import contextlib
import json
import os
import subprocess

import pytest

from sandbox.builds import packages
from sandbox.laptop import bootstrap

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
    quick.commit("No package any more")


def test_local_package_is_installed_in_that_build_alone(package):
    package.run("installs itself", "pip install .", SHOW, "test -e built-here")
    status = ("status", "--porcelain", "--ignored")
    before = package.git(*status).stdout
    assert "SUCCEEDED" in package.push()[-1]
    assert "\nfrom the checkout " in package.log()
    package.wait_for(package.is_ready)
    assert package.git(*status).stdout == before
    package.run("does not", SHOW)
    assert "FAILED in PRE_BUILD" in package.push()[-1]
    assert "No module named 'local'" in package.log()


def test_install_for_the_user_works_as_without_an_environment(package):
    package.run(
        "installs for the user",
        "pip install --user . && python -m pip uninstall -y local",
        "python -m pip install --user .",
        SHOW,
        'test "$(python -m site --user-base)" = "$HOME/.local"',
    )
    assert "SUCCEEDED" in package.push()[-1]
    assert "/home/.local/lib/python" in package.log().split("from the checkout ")[1]


def test_setting_of_pip_reaches_what_installs(quick):
    """Although the very packages have been kept ready."""
    quick.run("fills", INSTALL)
    assert "SUCCEEDED" in quick.push()[-1]
    for before in (
        "export PIP_NO_INDEX=1",
        "export PIP_INDEX_URL=http://127.0.0.1:9/simple PIP_RETRIES=0",
        "pip config set global.index-url http://127.0.0.1:9/simple && export PIP_RETRIES=0",
    ):
        quick.wait_for(quick.is_ready)
        quick.run("asks another index", before, INSTALL)
        assert "FAILED in PRE_BUILD" in quick.push()[-1]
        assert "No matching distribution found for iniconfig" in quick.log()
    quick.run("asks the usual one again", INSTALL)
    assert "SUCCEEDED" in quick.push()[-1]


def test_checkout_is_not_on_the_import_path_of_pip_and_aws(quick):
    names = ("json", "string", "email", "select", "token")
    make = f"for name in {' '.join(names)}; do echo 'raise ImportError(name)' > $name.py; done"
    undo = "rm " + " ".join(f"{name}.py" for name in names)
    quick.run("shadows", make, f"{INSTALL} && pip --version && aws --version && {undo}")
    assert "SUCCEEDED" in quick.push()[-1]


FORMS = [
    *("pip install -r requirements.txt", "pip3 install -q --requirement requirements.txt"),
    *("python -m pip install -rrequirements.txt", "pip install iniconfig==2.3.1"),
    "python3 -I -m pip install --requirement=requirements.txt",
]


def test_ready_packages_come_by_whatever_name_pip_is_called(quick):
    """And without a network: a link of the build leads where they are."""
    quick.run("is ready", INSTALL)
    assert "SUCCEEDED" in quick.push()[-1]
    quick.wait_for(quick.is_ready)
    again = 'rm "$VIRTUAL_ENV" && ln -s "$EMPTY" "$VIRTUAL_ENV" && ! python -c "import iniconfig"'
    full = 'test "$(basename "$(readlink "$VIRTUAL_ENV")")" = full && python -c "import iniconfig"'
    quick.run(
        "installs by all names",
        'export HTTPS_PROXY=http://127.0.0.1:9 EMPTY=$(readlink "$VIRTUAL_ENV")',
        *(f"{again} && {form} && {full}" for form in FORMS),
    )
    assert "SUCCEEDED" in quick.push()[-1], quick.log()


def test_line_without_a_version_needs_no_network_once_it_was_installed(quick):
    show = "python -c 'from importlib.metadata import version; print(version(\"iniconfig\"))'"
    for word in ("asks for any", "has it"):
        quick.run(word, "export HTTPS_PROXY=http://127.0.0.1:9", f"{INSTALL} && {show}")
        quick.write("requirements.txt", "iniconfig\n")
        quick.commit("Ask for any version")
        assert "SUCCEEDED" in quick.push()[-1], quick.log()
        quick.wait_for(quick.is_ready)


def test_pip_of_a_build_may_change_anything(quick):
    """Another version, another folder, nothing at all, and pip itself."""
    quick.run("is ready", INSTALL)
    assert "SUCCEEDED" in quick.push()[-1]
    quick.wait_for(quick.is_ready)
    version = "python -c 'from importlib.metadata import version; print(version(\"iniconfig\"))'"
    quick.run(
        "changes",
        f"{INSTALL} && pip install -q iniconfig==2.1.0 && {version} | grep 2.1.0",
        "pip install -q --target t iniconfig==2.3.1 && ls t/iniconfig && rm -r t",
        f"pip uninstall -qy iniconfig && ! {version}",
        "pip install -qU pip==26.1 && pip --version | grep 'pip 26.1 '",
        f"{INSTALL} && {version} | grep 2.3.1",
    )
    assert "SUCCEEDED" in quick.push()[-1], quick.log()
    quick.run("upgrades pip first", f"pip install -qU pip==26.1 && {INSTALL}", "pip --version")
    assert "SUCCEEDED" in quick.push()[-1], quick.log()
    assert "\npip 26.1 " in quick.log()
    quick.run("has the usual one", f"{INSTALL} && {version} && pip --version")
    assert "SUCCEEDED" in quick.push()[-1]
    assert "\n2.3.1\n" in quick.log() and "\npip 26.2 " in quick.log()


@pytest.fixture(scope="module")
def asking(tmp_path_factory):
    """An environment of a build, whose pip writes down what it would ask us, and ends."""
    folder = tmp_path_factory.mktemp("asking")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packages, "PACKAGES", folder)
        patch.setattr(packages, "SETTINGS", folder / "settings.json")
        packages.note_settings(cache=bootstrap.uv_cache())
        packages.make(folder / "venv", "")
    [code] = folder.glob("venv/lib/python*/site-packages/pip/_internal/commands/install.py")
    note = 'open("asked", "w").write(json.dumps([wishes, args], default=str)), os._exit(0)'
    code.write_text(code.read_text().replace("runpy.run_path", f"{note}, runpy.run_path"))
    return folder / "venv"


FILE = "# tests\npytest==9.2.0  # pinned\n\nawscli==1.46.3\n"
MARKER = 'a[x,y] == 1.0; python_version < "3.11"'
CERT = {"PIP_CERT": "/etc/cert", "PIP_CACHE_DIR": "x", "PIP_QUIET": "1", "UV_INDEX": "http://x"}
INDEX = {"PIP_INDEX_URL": "https://pypi.example.com/simple"}
INDEX_URL = "[global]\nindex-url = https://example.com\n"
WISHES = {
    "file": ("-r a.txt", {"a.txt": FILE}, {}, "pytest==9.2.0\nawscli==1.46.3"),
    "words": ("-q --no-cache-dir pytest==9.2.0 x", {}, {}, "pytest==9.2.0\nx"),
    "both": ("-ra.txt --requirement=b c", {"a.txt": MARKER, "b": "b"}, {}, MARKER + "\nb\nc"),
    "variables": ("a", {}, CERT, "a"),
    "index-of-machine": ("a", {}, INDEX, "a"),
    "empty-file": ("-r a.txt", {"a.txt": ""}, {}, ""),
    "no-text": ("-r a.txt", {"a.txt": b"\xff\xfe"}, {}, ""),
    "option-in-file": ("-r a.txt", {"a.txt": "a==1\n--pre\n"}, {}, ""),
    "editable": ("a -e .", {}, {}, ""),
    "upgrade": ("-U a", {}, {}, ""),
    "no-binary": ("--no-binary :all: a", {}, {}, ""),
    "no-dependencies": ("--no-deps a", {}, {}, ""),
    "no-isolation": ("--no-build-isolation a", {}, {}, ""),
    "user": ("--user a", {}, {}, ""),
    "target": ("a", {}, {"PIP_TARGET": "t"}, ""),
    "another-index": ("a", {}, {"PIP_EXTRA_INDEX_URL": "https://example.com"}, ""),
    "settings-of-user": ("a", {".config/pip/pip.conf": INDEX_URL}, {}, ""),
    "settings-of-system": ("a", {"pip/pip.conf": INDEX_URL}, {"XDG_CONFIG_DIRS": "."}, ""),
    "settings-named": ("a", {"a.conf": INDEX_URL}, {"PIP_CONFIG_FILE": "a.conf"}, ""),
}  # fmt: skip


@pytest.mark.parametrize("words, written, env, wanted", WISHES.values(), ids=WISHES)
def test_names_alone_are_asked_of_uv(asking, tmp_path, monkeypatch, words, written, env, wanted):
    """With the index of the machine, and no option, variable or setting that pip would heed."""
    for name, text in written.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    pip = [asking / "bin" / "python", "-m", "pip", "install", *words.split()]
    usual = {"PATH": os.defpath, "HOME": str(tmp_path), "XDG_CONFIG_DIRS": "none"}
    subprocess.run(pip, cwd=tmp_path, env=usual | env, capture_output=True, timeout=60)
    asked, said = tmp_path / "asked", []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(packages, "registry", lambda: INDEX)
    monkeypatch.setattr(packages, "install", lambda _, lines: said.append(lines))
    with contextlib.suppress(UnicodeDecodeError, FileNotFoundError):  # pip is left alone
        packages.answer(*json.loads(asked.read_text()))
    assert "".join(said) == wanted


@pytest.mark.parametrize(
    "line",
    [
        *(".", "./here", "here/", "x.whl", "x.tar.gz", "a===1", "a>=", "a b", "a=1"),
        *("a @ file:///tmp/a", "a==1 --hash=sha256:0", "a==1 \\", "-e .", "--pre", "-U", "-t"),
        *("git+https://example.com/a", "--index-url=https://example.com", "a==1;b/../c", "${A}==1"),
    ],
)
def test_line_that_is_no_name_is_left_to_pip(line):
    assert not packages.are_by_name(["b==1", line])


def test_lines_are_names_with_or_without_versions():
    assert packages.are_by_name(["a", "a.b_c>=1,!=2 , <3", "a==1.*", "a~=1.0", MARKER])
    assert not packages.are_by_name([])


@pytest.mark.parametrize("name", ["plain", "with a blank", "Anna's", "x" * 120])
def test_pip_of_an_environment_runs_in_the_build_s_own(tmp_path, monkeypatch, name):
    """Whatever its path: there, and nowhere else, a link leads on to what pip asked for."""
    monkeypatch.setattr(packages, "PACKAGES", tmp_path)
    monkeypatch.setattr(packages, "SETTINGS", tmp_path / "settings.json")
    packages.note_settings(cache=bootstrap.uv_cache())
    link = tmp_path / "machine" / "venv"
    monkeypatch.setattr(packages, "LINK", link)
    packages.make(tmp_path / name, "")
    link.parent.mkdir()
    link.symlink_to(tmp_path / name)
    said = packages.processes.run(tmp_path / name / "bin" / "pip", "--version").stdout
    assert f" from {link}/lib/python" in said
