"""Paths that are refused, and a sandbox that is not where it was made."""

from pathlib import Path

import pytest

from sandbox import Mistake
from sandbox.laptop import place


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(place, "ROOT", tmp_path / "clone")
    monkeypatch.setattr(place, "NOTE", tmp_path / "clone" / ".sandbox" / "place")
    (tmp_path / "clone" / ".sandbox").mkdir(parents=True)
    return tmp_path / "clone"


@pytest.mark.parametrize(
    "name",
    [
        "Anna's folder",
        "100%",
        "a;b & c",
        "naïve 你好",
        "cash$",
        "US$ ",
        '"quoted"',
        "[a]*?",
        "back\\",
    ],
)
def test_path_with_odd_characters_is_taken(monkeypatch, name):
    monkeypatch.setattr(place, "ROOT", Path("/home") / name)
    place.refuse_path()


@pytest.mark.parametrize(
    "name, why",
    [
        ("12:30", "colon"),
        ("my $HOME", "variable"),
        ("${x}", "variable"),
        ("$1", "variable"),
        ("a\nb", "no terminal"),
        ("\udcff", "no terminal"),
    ],
)
def test_path_that_cannot_work_is_refused(monkeypatch, name, why):
    monkeypatch.setattr(place, "ROOT", Path("/home") / name)
    with pytest.raises(Mistake, match=why) as refused:
        place.refuse_path()
    assert refused.value.hint.startswith("rename the folder, as with `mv ")


def test_sandbox_is_where_it_was_made(root):
    assert place.before() is None  # one of an older version has no note
    place.note()
    assert place.before() is None


def test_folder_with_two_names_is_one(root):
    (root.parent / "other name").symlink_to(root)
    place.NOTE.write_text(str(root.parent / "other name"))
    assert place.before() is None


@pytest.mark.parametrize("is_there, how", [(True, "is a copy of"), (False, "was moved here from")])
def test_sandbox_from_elsewhere_is_refused(root, is_there, how):
    was = root.parent / "before"
    if is_there:
        was.mkdir()
    place.NOTE.write_text(str(was))
    assert place.before() == was
    with pytest.raises(Mistake, match=f"this clone {how} {was}"):
        place.refuse_another()
