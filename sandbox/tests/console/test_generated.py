"""Pages of what nobody has written: whatever a record, a log or an address holds."""

import contextlib
import io
import json
import re
import zipfile
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sandbox.builds import records
from sandbox.builds.records import Build
from sandbox.console import app, function, pages

TEXTS = st.text(st.characters(exclude_categories=()), max_size=30)  # surrogates, too
ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
ESCAPES = st.sampled_from(
    [
        *(b"\x1b[", b"\x1b[31m", b"\x1b[0m", b"\x1b]0;", b"\x07", b"\x1b", b"m", b";", b"38;5;"),
        *(b"9" * 5000, "²".encode(), b"\r", b"\n", b"\xff\x9b", "\u2028\x85\u202e".encode()),
        *(b"<b>", b"E  "),
    ]
)
LOGS = st.lists(ESCAPES | st.binary(max_size=20), max_size=12).map(b"".join)
TIMES = st.floats(0, 2e9)
EVENTS = st.lists(
    st.fixed_dictionaries(
        {
            "event": st.sampled_from(
                ["phase", "command", "output", "command ended", "phase ended", "variable"]
            ),
            "at": TIMES | ODD,
            "offset": st.integers(0, 300) | ODD,
            "name": st.sampled_from(["DOWNLOAD_SOURCE", "BUILD"]) | ODD,
            "text": TEXTS | ODD,
            "status": st.sampled_from([0, 1, "SUCCEEDED", "FAILED"]) | ODD,
            "code": TEXTS | ODD,
            "message": TEXTS | ODD,
            "kind": st.just("PLAINTEXT") | ODD,
            "value": TEXTS | ODD,
        }
    ),
    max_size=10,
)
CASES = st.fixed_dictionaries(
    {
        "name": TEXTS | ODD,
        "suite": TEXTS | ODD,
        "status": st.sampled_from(["SUCCEEDED", "FAILED"]) | ODD,
        "seconds": TIMES | ODD,
        "message": TEXTS | ODD,
    }
)
REPORTS = st.lists(
    st.fixed_dictionaries(
        {
            "group": TEXTS | ODD,
            "status": st.sampled_from(["SUCCEEDED", "FAILED"]) | ODD,
            "message": TEXTS | ODD,
            "counts": st.lists(st.tuples(TEXTS, st.integers(0, 99))) | ODD,
            "files": st.lists(TEXTS) | ODD,
            "cases": st.lists(CASES, max_size=3) | ODD,
        }
    )
    | ODD,
    max_size=3,
)
EMPTY = {"code": "", "message": ""}
RECORD = json.loads(json.dumps(vars(Build(
    number=2, id="a", commit="c" * 40, source_version="main", initiator="root", submitted=1.0
))))  # fmt: skip
RECORDS = st.builds(
    lambda changes, status: RECORD | {"started": 2.0, "ended": 3.0} | changes | status,
    st.dictionaries(st.sampled_from([*RECORD]), ODD, max_size=4),
    st.just({}) | st.sampled_from(["SUCCEEDED", "FAILED", "QUEUED"]).map(lambda s: {"status": s}),
)


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory):
    """The folder of the newer of two builds that no account knows."""
    made = tmp_path_factory.mktemp("builds")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "BUILDS", made)
        for number in (1, 2):
            (made / str(number)).mkdir()
        write(made / "1", RECORD | {"number": 1, "started": 2.0, "ended": 3.0, "status": "FAILED"})
        yield made / "2"


def write(folder, record, log=b"", events=(), reports=()):
    dump = lambda value: json.dumps(value)  # noqa: E731
    (folder / "build.json").write_text(dump(record))
    (folder / "log").write_bytes(log)
    (folder / "progress").write_text("".join(dump(event) + "\n" for event in events))
    (folder / "reports.json").write_text(dump(list(reports)))


def shown(name, values):
    """Return a page as it is sent; nothing in it can move a cursor or turn a text."""
    text = app.page(name, **values).body.decode()
    assert len(text) < 1 << 20
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text)
    return text


def show_all(query=""):
    """Make each page that shows a build."""
    shown("project", pages.project(query))
    build = records.load(2)
    if build:
        shown("log", pages.log(build, query))
        shown("log", pages.log(build, ""))
        for tab in app.TABS:
            shown(tab, pages.tab(build, tab))


def test_secrets_are_masked_wherever_variables_are_shown(folder):
    kinds = {"WORD": "PARAMETER_STORE", "PLAIN": "PLAINTEXT", "DB_PASSWORD": "PLAINTEXT"}
    values = {"WORD": "/hello/word", "PLAIN": "plain <text>", "DB_PASSWORD": "hunter2"}
    events = [
        {"event": "variable", "at": 1.0, "offset": 0, "name": name, "kind": kinds[name]}
        | {"value": values[name]}
        for name in kinds
    ]
    exported = {"PLAIN": "plain <text>", "DB_PASSWORD": "hunter2", "WORD": "swordfish"}
    write(folder, RECORD | {"exported": exported, "status": "SUCCEEDED"}, b"", events)
    build = records.load(2)
    for name in ("variables", "details"):
        text = shown(name, pages.tab(build, name))
        assert "plain &lt;text&gt;" in text and text.count("masked") == 2 * 2
        assert "hunter2" not in text and "swordfish" not in text
        assert "DB_PASSWORD" in text and "WORD" in text


def test_page_of_a_red_build_says_first_what_has_failed_and_folds_what_went_well(folder):
    said, reason = "test_greeting: assert 1 == 2", "Error while executing command: pytest"
    told = {"said": said, "reason": reason, "hint": "mend <it>, `git commit`", "phase": "BUILD"}
    events = [
        {"event": event, "at": 1.0, "offset": 0, "name": name, "status": status} | EMPTY
        for name, status in (("DOWNLOAD_SOURCE", "SUCCEEDED"), ("BUILD", "FAILED"))
        for event in ("phase", "phase ended")
    ]
    write(folder, RECORD | told | {"status": "FAILED", "ended": 3.0}, b"", events)
    text = shown("log", pages.log(records.load(2), ""))
    banner = text.partition('id="why"')[2].partition("</div>")[0]
    assert banner.index(f"<strong>BUILD:</strong> {said}") < banner.index(reason)
    assert "mend &lt;it&gt;, <code>git commit</code>" in banner
    opened = re.findall(r'<details class="phase".* data-status="(\w+)"( open)?', text)
    assert opened == [("SUCCEEDED", ""), ("FAILED", " open")]


def test_phases_have_one_name_in_picture_legend_and_details(folder):
    run = ["DOWNLOAD_SOURCE", "INSTALL", "PRE_BUILD", "BUILD", "POST_BUILD", "UPLOAD_ARTIFACTS"]
    events = [
        {"event": event, "at": 2.0, "offset": 0, "name": name, "status": "SUCCEEDED"} | EMPTY
        for name in run
        for event in ("phase", "phase ended")
    ]
    write(folder, RECORD | {"status": "SUCCEEDED", "started": 2.0, "ended": 3.0}, b"", events)
    text = shown("project", pages.project())
    names = [*run, "FINALIZING"]
    assert re.findall(r'swatch shade-\d"></span>(\w+)<', text) == names
    assert re.findall(r'class="name">(\w+)<', text) == names
    text = shown("phases", pages.tab(records.load(2), "phases"))
    rows = re.findall(r'<th scope="row"><code>(\w+)<', text)
    assert rows == ["SUBMITTED", "QUEUED", "PROVISIONING", *names, "COMPLETED"]


def test_hint_of_an_error_is_shown_with_its_commands_as_code(folder):
    text = shown("error", {"message": "no <b>", "hint": "type `python3 -m sandbox up`"})
    assert "type <code>python3 -m sandbox up</code>" in text and "no &lt;b&gt;" in text


GENERATED = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@GENERATED
@given(RECORDS)
@example(RECORD | {"phases": [{"name": "BUILD"}], "ended": 3.0, "started": 2.0})
@example(RECORD | {"started": float("nan"), "ended": 1e300})
@example(RECORD | {"started": 2.0, "ended": 4e8})
@example(RECORD | {"reports": [{"counts": [["SUCCEEDED", "x"]]}]})
@example(RECORD | {"reason": "\ud800", "status": "FAILED", "exported": ["x"]})
def test_record_of_any_content_has_pages(folder, record):
    write(folder, record)
    show_all()


@GENERATED
@given(EVENTS, REPORTS)
@example([], [{"group": "x", "cases": [{"seconds": float("inf")}]}])
def test_progress_and_reports_of_any_content_have_pages(folder, events, reports):
    write(folder, RECORD | {"status": "FAILED", "started": 2.0}, b"x\n" * 99, events, reports)
    show_all()


@GENERATED
@given(LOGS, st.booleans())
@example(b"\x1b[" + b"1" * 5000 + b"m", True)
def test_log_of_any_bytes_has_a_page(folder, log, in_command):
    offsets = {"at": 1.0, "offset": 0}
    events = [{"event": "phase", "name": "BUILD", **offsets}]
    if in_command:
        events += [{"event": "command", "text": "x", **offsets}, {"event": "output", **offsets}]
        events += [{"event": "command ended", "status": 1, "at": 2.0, "offset": len(log)}]
    write(folder, RECORD | {"status": "FAILED", "started": 2.0}, log, events)
    show_all()


@GENERATED
@given(TEXTS | st.text("²9०", min_size=1, max_size=5000))
@example("²")
@example("9" * 5000)
def test_address_of_any_text_has_a_page(folder, query):
    write(folder, RECORD, "Found ²9\n".encode())
    show_all(query)


@GENERATED
@given(ODD, ODD)
def test_version_with_any_description_has_a_page(monkeypatch, said, other):
    """CloudFormation does not make a text of what a template says."""
    config = {"FunctionName": "hello_user", "CodeSize": 1, "CodeSha256": "x", "LastModified": "2"}
    versions = {
        number: {"config": config | {"Description": text}, "code_zip": None}
        for number, text in (("1", said), ("2", other))
    }
    now = SimpleNamespace(outputs=config, version="2", weights={"1": 0.25}, log_group="")
    monkeypatch.setattr(pages, "live", lambda: now)
    monkeypatch.setattr(function, "versions", lambda _: versions)
    monkeypatch.setattr(function, "recent_lines", lambda _: [(1, "one")])
    assert "Code of version 1" in shown("function", pages.function("1"))


@GENERATED
@given(st.binary(max_size=300), st.integers(0, 200), st.binary(min_size=1, max_size=4))
def test_zip_of_any_bytes_has_a_page(data, at, other):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("hello.py", "x = 1\n" * 20)
    whole = stream.getvalue()
    for content in (data, whole[:at], whole[:at] + other + whole[at + len(other) :]):
        found = function.code(content)
        with contextlib.suppress(UnicodeEncodeError):
            json.dumps(found).encode()
        shown("error", {"message": str(found), "hint": ""})
