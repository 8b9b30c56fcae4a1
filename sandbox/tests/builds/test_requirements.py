"""What uv may answer for pip: names from the index of the machine, and nothing else."""

import pytest

from sandbox.builds.requirements import has_settings, wanted_by

FILE = "# tests\npytest==9.2.0  # pinned\n\nawscli==1.46.3\n"
MARKER = 'a[x,y] == 1.0; python_version < "3.11"'


@pytest.mark.parametrize(
    "arguments, files, wanted",
    [
        (["-r", "a.txt"], {"a.txt": FILE}, "pytest==9.2.0\nawscli==1.46.3"),
        (["-q", "--no-cache-dir", "pytest==9.2.0"], {}, "pytest==9.2.0"),
        (["-r", "a.txt", "b==2"], {"a.txt": "a==1"}, "a==1\nb==2"),
        (["-r", "a.txt"], {"a.txt": MARKER}, MARKER),
        (["-q", "--requirement", "a.txt"], {"a.txt": FILE}, "pytest==9.2.0\nawscli==1.46.3"),
        (["--requirement=a.txt", "-rb.txt"], {"a.txt": "a", "b.txt": "b"}, "a\nb"),
        (
            ["a", "a.b_c>=1,!=2 , <3", "a==1.*", "a~=1.0"],
            {},
            "a\na.b_c>=1,!=2 , <3\na==1.*\na~=1.0",
        ),
        (["-r", "a.txt"], {}, ""),
        (["-r", "a.txt"], {"a.txt": ""}, ""),
        (["-r"], {}, ""),
        ([], {}, ""),
    ],
)
def test_packages_by_name_are_what_they_say(tmp_path, arguments, files, wanted):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert wanted_by(["install", *arguments], tmp_path) == wanted


@pytest.mark.parametrize(
    "word",
    [
        *(".", "./here", "here/", "x.whl", "x.tar.gz", "a===1", "a>=", "a b", "a=1"),
        *("a @ file:///tmp/a", "a==1 --hash=sha256:0", "a==1 \\", "-e .", "--pre", "-U", "-t"),
        *("git+https://example.com/a", "--index-url=https://example.com", "a==1;b/../c", "${A}==1"),
    ],
)
@pytest.mark.parametrize("in_file", [False, True])
def test_anything_else_is_left_to_pip(tmp_path, word, in_file):
    (tmp_path / "x.whl").touch()
    (tmp_path / "a.txt").write_text(f"b==1\n{word}\n")
    words = ["-r", "a.txt"] if in_file else ["b==1", word]
    assert wanted_by(["install", *words], tmp_path) == ""


def test_other_commands_of_pip_ask_for_nothing(tmp_path):
    for words in (
        ["download", "a==1"],
        ["uninstall", "a"],
        ["a==1"],
        [],
        ["-v", "install", "a==1"],
    ):
        assert wanted_by(words, tmp_path) == ""


def test_file_that_is_no_text_is_left_to_pip(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe")
    assert wanted_by(["install", "-r", "a.txt"], tmp_path) == ""


@pytest.mark.parametrize(
    "name, value, heeded",
    [
        ("PIP_NO_INDEX", "1", True),
        ("PIP_EXTRA_INDEX_URL", "https://example.com", True),
        ("PIP_INDEX_URL", "https://example.com", True),
        ("PIP_CONSTRAINT", "a.txt", True),
        ("PIP_CONFIG_FILE", "a.conf", True),
        ("PIP_CERT", "the machine's", False),
        ("PIP_CACHE_DIR", "x", False),
        ("PIP_QUIET", "1", False),
        ("UV_INDEX", "https://example.com", False),
    ],
)
def test_variable_that_pip_heeds_is_seen(tmp_path, name, value, heeded):
    env = {"HOME": str(tmp_path), "XDG_CONFIG_DIRS": str(tmp_path / "none"), name: value}
    assert has_settings(env, tmp_path, {"PIP_CERT": "the machine's"}) is heeded


@pytest.mark.parametrize(
    "place", ["home/.pip", "home/.config/pip", "home/Library/Application Support/pip", "venv"]
)
def test_file_that_pip_heeds_is_seen(tmp_path, place):
    (tmp_path / place).mkdir(parents=True)
    env = {"HOME": str(tmp_path / "home"), "XDG_CONFIG_DIRS": str(tmp_path / "none")}
    assert not has_settings(env, tmp_path / "venv", {})
    (tmp_path / place / "pip.conf").write_text("[global]\ntimeout = 1\n")
    assert has_settings(env, tmp_path / "venv", {})


@pytest.mark.parametrize(
    "text, heeded",
    [
        ("[global]\ncert = /etc/cert\n", False),
        ("[global]\nindex-url = https://example.com\n", True),
        ("[install]\nextra_index_url: https://example.com\n", True),
        ("[global]\nfind-links = /opt\n", True),
    ],
)
def test_file_of_the_system_counts_if_it_names_an_index(tmp_path, text, heeded):
    (tmp_path / "pip").mkdir()
    (tmp_path / "pip" / "pip.conf").write_text(text)
    env = {"HOME": str(tmp_path / "home"), "XDG_CONFIG_DIRS": str(tmp_path)}
    assert has_settings(env, tmp_path / "venv", {}) is heeded
