"""The environment of a build: fresh each time, and pip has the last word."""

import subprocess

import pytest

from sandbox import environment

FILE = "# tests\npytest==9.2.0  # pinned\n\nawscli==1.46.3\n"


@pytest.mark.parametrize("arguments, files, wanted", [
    (["-r", "requirements.txt"], {"requirements.txt": FILE}, "pytest==9.2.0\nawscli==1.46.3"),
    (["-q", "pytest", "awscli>=1"], {}, "pytest\nawscli>=1"),
    (["-r", "a.txt", "b"], {"a.txt": "a"}, "a\nb"),
    (["-r", "requirements.txt"], {}, None),
    (["-r", "requirements.txt"], {"requirements.txt": ""}, None),
    (["-r", "requirements.txt"], {"requirements.txt": "-r other.txt\n"}, None),
    (["-r", "requirements.txt"], {"requirements.txt": "--index-url https://example.com\na\n"}, None),
    (["-r", "requirements.txt"], {"requirements.txt": "a @ file:///tmp/a\n"}, None),
    (["-r", "requirements.txt"], {"requirements.txt": "a==1 \\\n --hash=sha256:0\n"}, None),
    (["-e", "."], {}, None), (["./here"], {}, None), (["--upgrade", "a"], {}, None), (["--no-deps", "a"], {}, None),
    (["-r"], {}, None), ([], {}, None),
])
def test_requirements_are_packages_by_name_or_nothing(tmp_path, arguments, files, wanted):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert environment.requirements(arguments, tmp_path) == wanted


def test_requirements_that_are_no_text_are_left_to_pip(tmp_path):
    (tmp_path / "requirements.txt").write_bytes(b"\xff\xfe")
    assert environment.requirements(["-r", "requirements.txt"], tmp_path) is None


def test_key_changes_with_the_requirements():
    assert environment.key_of("a==1") != environment.key_of("a==2")
    assert environment.key_of("a==1") == environment.key_of("a==1")


@pytest.mark.parametrize("path", ["plain", "with space", "it's", "$(x)`y`\"z\"\\"])
def test_quoted_path_is_one_word(path):
    said = subprocess.run(["sh", "-c", f"printf %s {environment.quoted(path)}"], capture_output=True, text=True, timeout=30)
    assert said.stdout == path


INSTALL = "pip install -r requirements.txt"


def log_of(someone):
    return (someone.clone / ".sandbox" / "builds" / str(len(someone.builds())) / "log").read_text()


def test_package_that_is_not_required_is_missing(quick):
    quick.say("missing", INSTALL, "python -c 'import iniconfig'", "python -c 'import pytest'")
    assert "FAILED in PRE_BUILD" in quick.push()[-1]
    assert "ModuleNotFoundError: No module named 'pytest'" in log_of(quick)
    quick.say("required again")
    quick.push()


@pytest.mark.long
def test_changed_pin_is_installed(quick):
    quick.say("pinned", INSTALL, "python -c 'from importlib.metadata import version; print(version(\"iniconfig\"))'")
    quick.write("requirements.txt", "iniconfig==2.3.0\n")
    quick.commit("Pin another")
    assert "SUCCEEDED" in quick.push()[-2]
    assert "\n2.3.0\n" in log_of(quick)


@pytest.mark.long
def test_bad_requirement_fails_with_the_words_of_pip(quick):
    quick.say("bad pin", INSTALL)
    quick.write("requirements.txt", "iniconfig==999\n")
    quick.commit("Pin what is not there")
    assert "FAILED in PRE_BUILD" in quick.push()[-1]
    assert "ERROR: No matching distribution found for iniconfig==999" in log_of(quick)
    quick.say("good pin")
    assert "SUCCEEDED" in quick.push()[-2]


def test_build_that_edits_a_package_spoils_nothing(quick):
    """Neither the next build nor uv's cache, from which files may be linked."""
    show = "python -c 'import iniconfig, pip; print(getattr(iniconfig, \"spoilt\", \"clean\"), pip.__file__)'"
    spoil = "echo 'spoilt = 1' >> \"$(python -c 'import iniconfig; print(iniconfig.__file__)')\""
    quick.say("spoils", INSTALL, spoil, show)
    assert "SUCCEEDED" in quick.push()[-2]
    assert "\n1 " in log_of(quick)
    quick.say("is clean", INSTALL, show, "find \"$VIRTUAL_ENV\" -type f -links +1")
    assert "SUCCEEDED" in quick.push()[-2]
    text = log_of(quick)
    assert "\nclean " in text
    assert ".sandbox/codebuild/venv/lib" not in text.split("-links +1")[-1].split("[Container]")[0]  # no hard link


def test_call_says_what_a_program_said(tmp_path):
    with pytest.raises(OSError, match="sh failed: no room"):
        environment.call("sh", "-c", "echo no room >&2; exit 3")


@pytest.mark.long
def test_two_builds_share_no_environment(quick):
    quick.say("leaves a mark", "touch \"$VIRTUAL_ENV/mark\" ~/mark \"$TMPDIR/mark\"")
    assert "SUCCEEDED" in quick.push()[-2]
    quick.say("looks for it", "test ! -e \"$VIRTUAL_ENV/mark\"", "test ! -e ~/mark", "test ! -e \"$TMPDIR/mark\"")
    assert "SUCCEEDED" in quick.push()[-2]
