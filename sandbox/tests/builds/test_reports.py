"""Test reports: which files a buildspec names, what is in them, and what the log says."""

import json

import pytest

from sandbox.builds import junit
from sandbox.codebuild import reports
from sandbox.codebuild.buildspec import ReportGroup
from sandbox.codebuild.log import Log
from sandbox.codebuild.reader import read
from sandbox.codebuild.yaml_nodes import BuildspecError

SUITE = """<?xml version="1.0"?>
<testsuites><testsuite name="pytest" tests="4">
<testcase classname="test_it" name="test_good" time="0.25"/>
<testcase classname="test_it" name="test_bad">
<failure message="no">E  assert 1 == 2</failure></testcase>
<testcase classname="test_it" name="test_broken"><error message="fixture missing"/></testcase>
<testcase classname="test_it" name="test_later"><skipped message="not today"/></testcase>
</testsuite></testsuites>
"""
BOMB = (
    '<!DOCTYPE t [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    '<testsuite name="t"><testcase name="&b;"/></testsuite>'
)
FILE = '<!DOCTYPE t [<!ENTITY a SYSTEM "file:///etc/passwd">]><testsuite name="&a;"/>'


def collect(folder, *groups):
    """Read the reports of these groups and return them with the log's lines."""
    log = Log(folder / "log")
    source = folder / "src"
    found = reports.collect(groups, "hello_user", source, {"JUNITXML": junit.cases}, log)
    log.close()
    text = (folder / "log").read_text()
    return found, [line.split(" ", 3)[-1] for line in text.splitlines()]


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "src"
    folder.mkdir()
    return folder


def test_report_has_the_cases_with_the_failed_ones_first(tmp_path, source):
    (source / "report.xml").write_text(SUITE)
    [report], lines = collect(tmp_path, ReportGroup("tests", ("report.xml",)))
    assert (report.group, report.status) == ("hello_user-tests", "FAILED")
    assert [(case.name, case.status) for case in report.cases] == [
        ("test_bad", "FAILED"),
        ("test_broken", "ERROR"),
        ("test_later", "SKIPPED"),
        ("test_good", "SUCCEEDED"),
    ]
    assert [case.message for case in report.cases[:3]] == [
        "E  assert 1 == 2",
        "fixture missing",
        "not today",
    ]
    assert report.cases[3].seconds == 0.25
    assert lines[:7] == [
        "Expanding base directory path: .",
        "Assembling file list",
        "Expanding .",
        "Expanding file paths for base directory .",
        "Assembling file list",
        "Expanding report.xml",
        "Found 1 file(s)",
    ]


def test_report_finds_files_by_patterns_below_a_base_directory(tmp_path, source):
    for name in ("out/a.xml", "out/deep/b.xml", "out/deep/c.txt", "d.xml"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(SUITE)
    group = ReportGroup("tests", ("**/*.xml", "a.xml"), base_directory="out")
    [report], _ = collect(tmp_path, group)
    assert report.files == ("a.xml", "deep/b.xml")
    assert dict(report.counts)["SUCCEEDED"] == 2
    group = ReportGroup("tests", ("**/*.xml",), base_directory="out", discard_paths=True)
    assert collect(tmp_path, group)[0][0].files == ("a.xml", "b.xml")


def test_report_of_each_group_is_its_own(tmp_path, source):
    (source / "a.xml").write_text(SUITE)
    (source / "b.xml").write_text('<testsuite name="s"><testcase name="test_it"/></testsuite>')
    arn = "arn:aws:codebuild:us-east-1:000000000000:report-group/shared"
    found, _ = collect(tmp_path, ReportGroup("one", ("a.xml",)), ReportGroup(arn, ("b.xml",)))
    assert [(each.group, each.status) for each in found] == [
        ("hello_user-one", "FAILED"),
        ("shared", "SUCCEEDED"),
    ]


@pytest.mark.parametrize(
    "content, why",
    [
        (None, "no file was found"),
        ("no xml", "it is no JUnit XML"),
        ("<html/>", "it is no JUnit XML"),
        (BOMB, "it is no JUnit XML"),
        (FILE, "it is no JUnit XML"),
    ],
)
def test_report_that_cannot_be_read_is_incomplete(tmp_path, source, content, why):
    if content:
        (source / "report.xml").write_text(content)
    [report], lines = collect(tmp_path, ReportGroup("tests", ("report.xml",)))
    assert (report.status, report.cases) == ("INCOMPLETE", ())
    assert why in report.message
    assert ("Skipping invalid file path report.xml" in lines) is (content is None)


@pytest.mark.parametrize(
    "pattern, base", [("../secret.xml", "."), ("secret.xml", ".."), ("link.xml", ".")]
)
def test_report_reads_nothing_beyond_the_source(tmp_path, source, pattern, base):
    (tmp_path / "secret.xml").write_text(SUITE)
    (source / "link.xml").symlink_to(tmp_path / "secret.xml")
    [report], _ = collect(tmp_path, ReportGroup("tests", (pattern,), base_directory=base))
    assert report.status == "INCOMPLETE"


def test_report_keeps_500_cases_of_more(tmp_path, source):
    cases = '<testcase name="t"/>' * 600 + '<testcase name="bad"><failure/></testcase>'
    (source / "report.xml").write_text(f'<testsuite name="s">{cases}</testsuite>')
    [report], _ = collect(tmp_path, ReportGroup("tests", ("report.xml",)))
    assert len(report.cases) == 500 and report.cases[0].name == "bad"
    assert dict(report.counts) == {"FAILED": 1, "SUCCEEDED": 600}


def spec(text):
    return read(f"version: 0.2\nphases:\n  build:\n    commands: x\nreports:\n{text}".encode())


def test_reports_are_read_with_what_they_leave_out():
    found = spec(
        "  tests:\n    files: [a.xml, b.xml]\n    discard-paths: yes\n    base-directory: out\n"
    )
    assert found.reports == (ReportGroup("tests", ("a.xml", "b.xml"), "JUNITXML", "out", True),)
    assert spec("  tests:\n    files: a.xml\n    file-format: junitxml\n").warnings == ()


def test_report_of_another_format_is_named_and_passed_over(tmp_path, source):
    found = spec("  tests:\n    files: a.xml\n    file-format: NUNITXML\n")
    assert "NUNITXML is passed over" in found.warnings[0][1]
    assert collect(tmp_path, *found.reports) == ((), [])


@pytest.mark.parametrize(
    "text, error",
    [
        ("  tests:\n    file-format: JUNITXML\n", "reports.tests has no files"),
        ("  tests:\n    files: a\n    file-format: TAP\n", "file-format is 'TAP'"),
        ("".join(f"  t{index}:\n    files: a\n" for index in range(6)), "names 6 report groups"),
    ],
)
def test_reports_that_codebuild_does_not_take_are_refused(text, error):
    with pytest.raises(BuildspecError, match=error):
        spec(text)


def test_report_of_a_red_build_is_in_its_record(quick):
    quick.say("reports")
    (quick.clone / "suite.xml").write_text(SUITE)
    text = (quick.clone / "buildspec.yml").read_text()
    text = text.replace("  build:\n    commands:\n", "  build:\n    commands:\n      - false\n")
    quick.write("buildspec.yml", text + "reports:\n  tests:\n    files: suite.xml\n")
    quick.commit("Report")
    assert "FAILED in BUILD" in quick.push()[-1]
    record = quick.builds()[-1]
    assert [(each["group"], each["status"]) for each in record["reports"]] == [
        ("hello_user-tests", "FAILED")
    ]
    folder = quick.clone / ".sandbox" / "builds" / str(record["number"])
    [report] = json.loads((folder / "reports.json").read_text())
    assert report["cases"][0]["message"] == "E  assert 1 == 2"
    assert [phase["name"] for phase in record["phases"]][-1] == "UPLOAD_ARTIFACTS"
    quick.say("green after a report")
    quick.push()


def test_report_is_not_read_once_pre_build_has_failed(quick):
    """As on AWS: UPLOAD_ARTIFACTS is not reached."""
    quick.say("no report", "false")
    (quick.clone / "suite.xml").write_text(SUITE)
    text = (quick.clone / "buildspec.yml").read_text()
    quick.write("buildspec.yml", text + "reports:\n  tests:\n    files: suite.xml\n")
    quick.commit("Report nothing")
    assert "FAILED in PRE_BUILD" in quick.push()[-1]
    record = quick.builds()[-1]
    assert record["reports"] == []
    last = record["phases"][-1]
    assert (last["name"], last["status"], last["code"]) == (
        "PRE_BUILD",
        "FAILED",
        "COMMAND_EXECUTION_ERROR",
    )
    quick.say("green without a report")
    quick.push()
