"""The environment of a build: fresh each time."""

import json
import os
import re
import shutil

import pytest

from sandbox.builds import packages
from sandbox.laptop import bootstrap, network


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of environments in which there are none yet."""
    monkeypatch.setattr(packages, "PACKAGES", tmp_path)
    for name in ("empty", "full"):
        monkeypatch.setattr(packages, name.upper(), tmp_path / name)
    for name in ("asked", "used"):
        monkeypatch.setattr(packages, name.upper(), tmp_path / name)
    monkeypatch.setattr(packages, "SETTINGS", tmp_path / "settings.json")
    packages.note_settings(cache=bootstrap.uv_cache())
    return tmp_path


def test_key_changes_with_the_requirements_and_the_index(folder, monkeypatch):
    for name in network.REGISTRY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    packages.note_settings()
    key = packages.key_of("a==1")
    assert packages.key_of("a==2") != key
    monkeypatch.setenv("HTTPS_PROXY", "any")
    packages.note_settings()
    assert packages.key_of("a==1") == key
    monkeypatch.setenv("PIP_INDEX_URL", "another")
    packages.note_settings()
    assert packages.key_of("a==1") != key


INSTALL = "pip install -r requirements.txt"


def test_package_that_is_not_required_is_missing(quick):
    quick.run("missing", INSTALL, "python -c 'import iniconfig'", "python -c 'import pytest'")
    assert "FAILED in PRE_BUILD" in quick.push()[-1]
    assert "ModuleNotFoundError: No module named 'pytest'" in quick.log()


@pytest.mark.long
def test_changed_pin_is_installed(quick):
    quick.run(
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
    quick.run("bad pin", INSTALL)
    quick.write("requirements.txt", "iniconfig==999\n")
    quick.commit("Pin what is not there")
    assert "FAILED in PRE_BUILD" in quick.push()[-1]
    assert "ERROR: No matching distribution found for iniconfig==999" in quick.log()
    quick.run("good pin", INSTALL)
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
    quick.run("spoils", INSTALL, spoil, show)
    assert "SUCCEEDED" in quick.push()[-1]
    assert "\n1 " in quick.log()
    quick.run("is clean", INSTALL, show, 'find "$VIRTUAL_ENV/" -type f -links +1')
    assert "SUCCEEDED" in quick.push()[-1]
    text = quick.log()
    assert "\nclean " in text
    assert "/venv/" not in text.split("-links +1")[-1].split("[Container]")[0]  # no hard link


def test_untouched_environment_is_used_again_without_what_a_build_has_added(quick):
    where = "python -c 'import iniconfig, os; print(\"inode\", os.stat(iniconfig.__file__).st_ino)'"
    purelib = "python -c 'import sysconfig; print(sysconfig.get_path(\"purelib\"))'"
    add = f"echo 'import nosuchmodule' > \"$({purelib})/added.pth\""
    quick.run("adds", INSTALL, where, add)
    assert "SUCCEEDED" in quick.push()[-1]
    first = quick.log()
    quick.wait_for(quick.is_ready)
    quick.run("again", INSTALL, where)
    assert "SUCCEEDED" in quick.push()[-1]
    assert re.findall(r"\ninode \d+\n", first) == re.findall(r"\ninode \d+\n", quick.log()) != []
    assert "nosuchmodule" not in quick.log().replace(add, "")


SPOILS = [
    'chmod a-w "$VIRTUAL_ENV"/bin "$VIRTUAL_ENV"/. ~ ~/.. && mkdir -p ~/a/b && chmod 0 ~/a',
    'E=$(readlink "$VIRTUAL_ENV") && rm -rf "$E"/../* && touch "$E"',
    'cd "$(readlink "$VIRTUAL_ENV")"/.. && cd .. && mv packages elsewhere && ln -s / packages',
]
MORE_SPOILS = [  # as some of TOUCHES
    'rm "$VIRTUAL_ENV"/bin/pip*',
    'chmod -x "$VIRTUAL_ENV"/bin/pip*',
    'E=$(readlink "$VIRTUAL_ENV") && rm -rf "$E" && ln -s / "$E"',
]


def test_build_that_breaks_its_environment_breaks_no_other(quick, request):
    """Each build looks at what the one before has left, then breaks the full one and the empty."""
    whole = [
        "pip --version && ! python -c 'import iniconfig' && E=$(readlink \"$VIRTUAL_ENV\")",
        f"{INSTALL} && pip --version && python -c 'import iniconfig' && echo is whole",
    ]
    more = MORE_SPOILS if request.config.getoption("--long") else []
    for spoil in (*SPOILS, *more):
        back = 'rm "$VIRTUAL_ENV" && ln -s "$E" "$VIRTUAL_ENV"'
        quick.run("breaks", *whole, spoil, f'{back} && test -e "$E" && ({spoil}); false')
        quick.push()
        assert quick.builds()[-1]["phase"] == "PRE_BUILD"
        assert "\nis whole\n" in quick.log(), (spoil, quick.log())
        assert f"Running command {back}" in quick.log(), (spoil, quick.log())
    quick.run("is whole", *whole)
    assert "SUCCEEDED" in quick.push()[-1], quick.log()


@pytest.fixture
def used(folder):
    """The full environment, after a build."""
    used = folder / "full"
    for name in ("bin/pip", "bin/tool", "lib/python3/site-packages/pkg/code.py", "pyvenv.cfg"):
        (used / name).parent.mkdir(parents=True, exist_ok=True)
        (used / name).write_text(name)
    (used / "bin/tool").chmod(0o755)
    note = {"key": packages.key_of("pkg==1"), **packages.stamps(used)}
    packages.note_of(used).write_text(json.dumps(note))
    return used


def rewrite(path):
    path.write_text(path.read_text())


def replace(path):
    shutil.copy2(path, path.with_name("copy"))
    os.replace(path.with_name("copy"), path)


def move(path, put):
    path.rename(path.with_name("elsewhere"))
    put(path)


SITE = "lib/python3/site-packages"
TOUCHES = {
    "written-again": lambda used: rewrite(used / SITE / "pkg/code.py"),
    "replaced": lambda used: replace(used / SITE / "pkg/code.py"),
    "linked": lambda used: os.link(used / SITE / "pkg/code.py", used / "link"),
    "deleted": lambda used: (used / "bin/pip").unlink(),
    "mode": lambda used: (used / "bin/tool").chmod(0o644),
    "mode-of-a-folder": lambda used: (used / "bin").chmod(0o555),
    "folder-is-a-link": lambda used: move(
        used / SITE / "pkg", lambda path: path.symlink_to(path.with_name("elsewhere"))
    ),
    "link": lambda used: move(used, lambda path: path.symlink_to(path.with_name("elsewhere"))),
    "file": lambda used: move(used, lambda path: path.touch()),
    "nothing": lambda used: move(used, lambda path: None),
    "another": lambda used: move(
        used, lambda path: shutil.copytree(path.with_name("elsewhere"), path)
    ),
    "other-requirements": lambda used: packages.note_of(used).write_text('{"key": "x"}'),
    "empty-note": lambda used: packages.note_of(used).write_text(""),
}


@pytest.mark.parametrize("touch", TOUCHES.values(), ids=TOUCHES)
def test_touched_environment_is_not_as_it_was_made(used, touch):
    assert packages.is_as_made(used, "pkg==1")
    touch(used)
    assert not packages.is_as_made(used, "pkg==1")


def test_what_was_added_to_an_environment_goes(used):
    before = packages.stamps(used)
    (used / SITE / "added/sub").mkdir(parents=True)
    (used / SITE / "added/sub/code.py").touch()
    (used / SITE / "added/sub").chmod(0o555)
    (used / SITE / "pkg/__pycache__").mkdir()
    (used / SITE / "pkg/__pycache__/code.pyc").touch()
    (used / "bin/outside").symlink_to(used.parent)
    assert packages.is_as_made(used, "pkg==1")
    assert packages.stamps(used) == before
    assert packages.SETTINGS.exists()


def test_package_that_a_build_has_planted_is_gone_in_the_next(quick):
    purelib = "python -c 'import sysconfig; print(sysconfig.get_path(\"purelib\"))'"
    plant = f'D="$({purelib})/iniconfig" && mkdir "$D" && echo \'print(7*6)\' > "$D/__init__.py"'
    quick.run("plants", plant, "python -c 'import iniconfig'")
    assert "SUCCEEDED" in quick.push()[-1]
    assert "\n42\n" in quick.log()
    quick.wait_for(quick.is_ready)
    quick.run("finds nothing", "python -c 'import iniconfig' || true")
    assert "SUCCEEDED" in quick.push()[-1]
    assert "No module named 'iniconfig'" in quick.log() and "\n42\n" not in quick.log()


NO_NETWORK = dict.fromkeys(
    ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9"
)


def test_push_needs_no_network(quick):
    """Also when the environment that is ready is for other requirements."""
    quick.sandbox("up", env=quick.env | NO_NETWORK)
    try:
        quick.say("offline", INSTALL, "python -c 'import iniconfig'")
        quick.write("requirements.txt", "iniconfig==2.3.1\n")
        quick.commit("Pin what up has installed")
        quick.git("push", "sandbox", env=quick.env | NO_NETWORK)
        assert quick.builds()[-1]["status"] == "SUCCEEDED", quick.log()
        assert quick.message() == "offline"
    finally:
        quick.up()


@pytest.fixture
def offline(folder, monkeypatch):
    """An empty environment, without a way to the network."""
    packages.uv("venv", "-q", folder / "empty")
    settings = {"cache": bootstrap.uv_cache(), "registry": NO_NETWORK | {"UV_HTTP_RETRIES": "0"}}
    packages.SETTINGS.write_text(json.dumps(settings))
    return folder / "empty"


@pytest.mark.parametrize("wanted", ["iniconfig==2.3.1", "iniconfig", "iniconfig>=2,<3"])
def test_packages_that_are_in_the_cache_need_no_network(offline, wanted):
    packages.install(offline, wanted)
    assert "iniconfig" in [path.name for path in packages.packages_of(offline).iterdir()]


@pytest.mark.parametrize("wanted", ["iniconfig==999", "iniconfig==2.3.1\nno-such-package==1"])
def test_packages_that_are_not_in_the_cache_are_asked_for(offline, wanted):
    with pytest.raises(OSError, match="uv failed"):
        packages.install(offline, wanted)


def test_no_requirements_install_nothing(offline):
    packages.install(offline, "")
    assert [path.name for path in packages.packages_of(offline).iterdir() if path.is_dir()] == []


WISHES = [
    *(".", "./x.whl", "iniconfig==2.3.1 --hash=sha256:0", "-e .", "nosuch @ file:///", "x" * 70000),
    "x\n" * 600,
]


@pytest.mark.parametrize("wish", WISHES, ids=[wish[:20] for wish in WISHES])
def test_no_other_wish_of_a_build_is_followed(folder, wish):
    """A build may write anything where it is noted what it asked for."""
    usual = packages.wanted_next()
    assert "pytest==" in usual
    packages.ASKED.write_text(wish)
    assert packages.wanted_next() == usual
    packages.ASKED.write_text("iniconfig==2.3.1")
    assert packages.wanted_next() == "iniconfig==2.3.1"


def test_nothing_of_a_package_runs_before_a_build(folder):
    """What is there only as a source, which would have to be built, is left to the build."""
    packages.ASKED.write_text("sgmllib3k==1.0.0")
    packages.make_both()
    assert packages.is_as_made(packages.EMPTY, "")
    assert not packages.note_of(packages.FULL).exists()
    packages.ASKED.write_text("iniconfig==2.3.1")
    packages.make_both()
    assert packages.is_as_made(packages.FULL, "iniconfig==2.3.1")


@pytest.mark.long
def test_two_builds_share_no_environment(quick):
    quick.run("leaves a mark", 'touch "$VIRTUAL_ENV/mark" ~/mark "$TMPDIR/mark"')
    assert "SUCCEEDED" in quick.push()[-1]
    quick.run(
        "looks for it",
        'test ! -e "$VIRTUAL_ENV/mark"',
        "test ! -e ~/mark",
        'test ! -e "$TMPDIR/mark"',
    )
    assert "SUCCEEDED" in quick.push()[-1]
