"""The environment of a build: fresh each time."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from sandbox.builds import packages
from sandbox.laptop import network
from sandbox.laptop.paths import IMAGE


def test_key_changes_with_the_requirements():
    assert packages.key_of("a==1", {}) != packages.key_of("a==2", {})
    assert packages.key_of("a==1", {}) == packages.key_of("a==1", {"HTTPS_PROXY": "any"})
    assert packages.key_of("a==1", {}) != packages.key_of("a==1", {"PIP_INDEX_URL": "another"})


@pytest.mark.parametrize("path", ["plain", "with space", "it's", '$(x)`y`"z"\\'])
def test_quoted_path_is_one_word(path):
    said = subprocess.run(
        ["sh", "-c", f"printf %s {packages.quoted(path)}"],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert said.stdout == path


INSTALL = "pip install -r requirements.txt"


def test_package_that_is_not_required_is_missing(quick):
    quick.say("missing", INSTALL, "python -c 'import iniconfig'", "python -c 'import pytest'")
    assert "FAILED in PRE_BUILD" in quick.push()[-1]
    assert "ModuleNotFoundError: No module named 'pytest'" in quick.log()
    quick.say("required again")
    quick.push()


@pytest.mark.long
def test_changed_pin_is_installed(quick):
    quick.say(
        "pinned",
        INSTALL,
        "python -c 'from importlib.metadata import version; print(version(\"iniconfig\"))'",
    )
    quick.write("requirements.txt", "iniconfig==2.3.0\n")
    quick.commit("Pin another")
    assert "SUCCEEDED" in quick.push()[-1]
    assert "\n2.3.0\n" in quick.log()


@pytest.mark.long
def test_bad_requirement_fails_with_the_words_of_pip(quick):
    quick.say("bad pin", INSTALL)
    quick.write("requirements.txt", "iniconfig==999\n")
    quick.commit("Pin what is not there")
    assert "FAILED in PRE_BUILD" in quick.push()[-1]
    assert "ERROR: No matching distribution found for iniconfig==999" in quick.log()
    quick.say("good pin")
    assert "SUCCEEDED" in quick.push()[-1]


def test_build_that_edits_a_package_spoils_nothing(quick):
    """Neither the next build nor uv's cache, from which files may be linked."""
    code = 'import iniconfig, pip; print(getattr(iniconfig, "spoilt", "clean"), pip.__file__)'
    show = f"python -c '{code}'"
    spoil = (
        "file=$(python -c 'import iniconfig; print(iniconfig.__file__)') && "
        'touch -r "$file" ~/time && '
        'echo \'spoilt = 1\' >> "$file" && touch -r ~/time "$file"'
    )
    quick.say("spoils", INSTALL, spoil, show)
    assert "SUCCEEDED" in quick.push()[-1]
    assert "\n1 " in quick.log()
    quick.say("is clean", INSTALL, show, 'find "$VIRTUAL_ENV/" -type f -links +1')
    assert "SUCCEEDED" in quick.push()[-1]
    text = quick.log()
    assert "\nclean " in text
    assert "/venv/" not in text.split("-links +1")[-1].split("[Container]")[0]  # no hard link


def test_untouched_environment_is_used_again_without_what_a_build_has_added(quick):
    where = "python -c 'import iniconfig, os; print(\"inode\", os.stat(iniconfig.__file__).st_ino)'"
    purelib = "python -c 'import sysconfig; print(sysconfig.get_path(\"purelib\"))'"
    add = f"echo 'import nosuchmodule' > \"$({purelib})/added.pth\""
    quick.say("adds", INSTALL, where, add)
    assert "SUCCEEDED" in quick.push()[-1]
    first = quick.log()
    quick.wait_for(lambda: (quick.clone / ".sandbox/image/spare/key").exists())
    quick.say("again", INSTALL, where)
    assert "SUCCEEDED" in quick.push()[-1]
    assert re.findall(r"\ninode \d+\n", first) == re.findall(r"\ninode \d+\n", quick.log()) != []
    assert "nosuchmodule" not in quick.log().replace(add, "")


@pytest.fixture
def used(tmp_path, monkeypatch):
    """The environment of an ended build, which holds one package beside pip."""
    for name in (
        "bin/pip",
        "bin/tool",
        "bin/pip-tool",
        "lib/python3/site-packages/pip/core.py",
        "lib/python3/site-packages/pkg/code.py",
        "lib/python3/site-packages/single.py",
        "pyvenv.cfg",
    ):
        (tmp_path / "used" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "used" / name).write_text(name)
    found = packages.stamps(tmp_path / "used")
    added = {
        name: found.pop(name)
        for name in list(found)
        if "pkg" in name or "single" in name or "tool" in name
    }
    (tmp_path / "stamps.json").write_text(
        json.dumps({"key": packages.key_of("pkg==1", {}), "venv": found, "packages": added})
    )
    (tmp_path / "wanted").write_text("pkg==1")
    (tmp_path / "settings.json").write_text('{"wanted": ""}')
    (tmp_path / "packages").mkdir()
    for name in network.REGISTRY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "used"


def rewrite(path):
    path.write_text(path.read_text())


def replace(path):
    shutil.copy2(path, path.with_name("copy"))
    os.replace(path.with_name("copy"), path)


TOUCHES = {
    "edited": lambda site: (site / "pkg/code.py").write_text(
        "x" * len("lib/python3/site-packages/pkg/code.py")
    ),
    "written-again": lambda site: rewrite(site / "pkg/code.py"),
    "replaced": lambda site: replace(site / "pkg/code.py"),
    "linked": lambda site: os.link(site / "pkg/code.py", site.parents[2] / "link"),
    "deleted": lambda site: (site / "pkg/code.py").unlink(),
    "folder-is-a-link": lambda site: (
        (site / "pkg").rename(site.parents[2] / "elsewhere"),
        (site / "pkg").symlink_to(site.parents[2] / "elsewhere"),
    ),
    "single-file-edited": lambda site: (site / "single.py").write_text("x"),
    "pip-edited": lambda site: rewrite(site / "pip/core.py"),
    "script-edited": lambda site: (site.parents[2] / "bin/tool").write_text("x"),
    "script-named-like-pip-edited": lambda site: (site.parents[2] / "bin/pip-tool").write_text("x"),
    "other-requirements": lambda site: (site.parents[3] / "wanted").write_text("other==1"),
}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere each build gets a new environment")
@pytest.mark.parametrize("touch", TOUCHES.values(), ids=TOUCHES)
def test_touched_environment_is_not_put_by(used, touch):
    touch(used / "lib/python3/site-packages")
    packages.put_by(used.parent, used)
    assert not (used.parent / "spare").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere each build gets a new environment")
def test_untouched_environment_is_put_by_in_its_parts(used):
    (used / "lib/python3/site-packages/added/sub").mkdir(parents=True)
    (used / "lib/python3/site-packages/pkg/added.py").write_text("added")
    (used / "bin/pip").write_text("a build's own pip, written anew each time")
    packages.put_by(used.parent, used)
    spare = used.parent / "spare"
    assert (spare / "key").read_text() == packages.key_of("pkg==1", {})
    assert sorted(packages.stamps(spare / "venv")) == [
        "bin/pip",
        "lib/python3/site-packages/pip/core.py",
        "pyvenv.cfg",
    ]
    assert sorted(packages.stamps(spare / "full")) == [
        "bin/pip-tool",
        "bin/tool",
        "lib/python3/site-packages/pkg/code.py",
        "lib/python3/site-packages/single.py",
    ]
    assert not (spare / "venv/lib/python3/site-packages/added").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere each build gets a new environment")
def test_what_a_build_wrote_in_the_place_of_a_package_is_not_put_by(used):
    """The build has not asked for the packages, and has put its own where they would have been."""
    full, site = used.parent / "packages" / "full", "lib/python3/site-packages"
    for name in ("bin/tool", "bin/pip-tool", f"{site}/pkg", f"{site}/single.py"):
        (full / name).parent.mkdir(parents=True, exist_ok=True)
        os.rename(used / name, full / name)
    (used / site / "pkg").mkdir()
    for name in ("bin/tool", f"{site}/pkg/code.py", f"{site}/single.py"):
        (used / name).write_text("planted")
    (full.parent / "key").write_text(packages.key_of("pkg==1", {}))
    packages.put_by(used.parent, used)
    spare = used.parent / "spare"
    assert sorted(packages.stamps(spare / "venv")) == [
        "bin/pip",
        "lib/python3/site-packages/pip/core.py",
        "pyvenv.cfg",
    ]
    assert (spare / "full" / "bin" / "tool").read_text() == "bin/tool"


def test_package_that_a_build_has_planted_is_gone_in_the_next(quick):
    purelib = "python -c 'import sysconfig; print(sysconfig.get_path(\"purelib\"))'"
    plant = f'D="$({purelib})/iniconfig" && mkdir "$D" && echo \'print(7*6)\' > "$D/__init__.py"'
    quick.say("plants", plant, "python -c 'import iniconfig'")
    assert "SUCCEEDED" in quick.push()[-1]
    assert "\n42\n" in quick.log()
    quick.wait_for(lambda: (quick.clone / ".sandbox/image/spare/key").exists())
    quick.say("finds nothing", "python -c 'import iniconfig' || true")
    assert "SUCCEEDED" in quick.push()[-1]
    assert "No module named 'iniconfig'" in quick.log() and "\n42\n" not in quick.log()


NO_NETWORK = dict.fromkeys(
    ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9"
)


def test_push_needs_no_network(quick):
    """Also when the environment that was put by is for other requirements."""
    quick.say("offline", INSTALL, "python -c 'import iniconfig'")
    quick.write("requirements.txt", "iniconfig==2.3.1\n")
    quick.commit("Pin what up has installed")
    quick.git("push", "sandbox", env=quick.env | NO_NETWORK)
    assert quick.builds()[-1]["status"] == "SUCCEEDED", quick.log()
    assert quick.message() == "offline"


@pytest.fixture
def offline(tmp_path):
    """An empty environment, without a way to the network."""
    settings = json.loads((IMAGE / "settings.json").read_text())
    packages.call(
        {},
        settings["uv"],
        "venv",
        "-q",
        "-p",
        sys.executable,
        "--cache-dir",
        settings["cache"],
        tmp_path / "venv",
    )
    return settings, NO_NETWORK | {"UV_HTTP_RETRIES": "0"}, tmp_path / "venv"


def test_pinned_packages_that_are_in_the_cache_need_no_network(offline):
    packages.install(*offline, "iniconfig==2.3.1")
    assert "iniconfig" in [path.name for path in packages.packages_of(offline[2]).iterdir()]


@pytest.mark.parametrize("wanted", ["iniconfig==999", "iniconfig==2.3.1\nno-such-package==1"])
def test_packages_that_are_not_in_the_cache_are_asked_for(offline, wanted):
    with pytest.raises(OSError, match="uv failed"):
        packages.install(*offline, wanted)


def test_no_requirements_install_nothing(offline):
    packages.install(*offline, "")
    assert [path.name for path in packages.packages_of(offline[2]).iterdir() if path.is_dir()] == []


def test_call_says_what_a_program_said(tmp_path):
    with pytest.raises(OSError, match="sh failed: no room"):
        packages.call({}, "sh", "-c", "echo no room >&2; exit 3")


@pytest.mark.long
def test_two_builds_share_no_environment(quick):
    quick.say("leaves a mark", 'touch "$VIRTUAL_ENV/mark" ~/mark "$TMPDIR/mark"')
    assert "SUCCEEDED" in quick.push()[-1]
    quick.say(
        "looks for it",
        'test ! -e "$VIRTUAL_ENV/mark"',
        "test ! -e ~/mark",
        'test ! -e "$TMPDIR/mark"',
    )
    assert "SUCCEEDED" in quick.push()[-1]
