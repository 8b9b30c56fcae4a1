"""Test reports: which files a buildspec names, what is in them, and what the log says."""

import json

import pytest

from sandbox.builds import junit, progress
from sandbox.codebuild import artifacts, reports
from sandbox.codebuild.buildspec import BuildspecError, Files, ReportGroup
from sandbox.codebuild.log import Log
from sandbox.codebuild.project import Project
from sandbox.codebuild.reader import read

PROJECT = "arn:aws:codebuild:us-east-1:000000000000:project/hello_user"
GROUPS = PROJECT.replace(":project/hello_user", ":report-group")
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
    """Read the reports of these groups and return them with the reason and the log's lines."""
    log = Log(folder / "log")
    found, reason, _ = reports.collect(
        groups,
        Project(name="hello_user", arn=PROJECT),
        lambda files: artifacts.find(files, folder / "src", log),
        reports.Service(junit.cases, lambda actions, arn: ""),
        log,
    )
    log.close()
    text = (folder / "log").read_text()
    return found, reason, [line.split(" ", 3)[-1] for line in text.splitlines()]


def group(name, *patterns, **values):
    return ReportGroup(name, Files(patterns, **values))


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "src"
    folder.mkdir()
    return folder


def test_report_has_the_cases_with_the_failed_ones_first(tmp_path, source):
    (source / "report.xml").write_text(SUITE)
    [report], reason, lines = collect(tmp_path, group("tests", "report.xml"))
    assert (report.group, report.status, reason) == ("hello_user-tests", "FAILED", "")
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
    found = group("tests", "**/*.xml", "a.xml", base_directory="out")
    [report], _, _ = collect(tmp_path, found)
    assert report.files == ("a.xml", "deep/b.xml")
    assert dict(report.counts)["SUCCEEDED"] == 2
    found = group("tests", "**/*.xml", base_directory="o*", discard_paths=True)
    assert collect(tmp_path, found)[0][0].files == ("a.xml", "b.xml")
    found = group("tests", f"{source}/out/a.xml", base_directory=f"{source}/out")
    assert collect(tmp_path, found)[0][0].files == ("a.xml",)


def test_report_of_each_group_is_its_own(tmp_path, source):
    (source / "a.xml").write_text(SUITE)
    (source / "b.xml").write_text('<testsuite name="s"><testcase name="test_it"/></testsuite>')
    arn = "arn:aws:codebuild:us-east-1:000000000000:report-group/shared"
    found, _, _ = collect(tmp_path, group("one", "a.xml"), group(arn, "b.xml"))
    assert [(each.group, each.status) for each in found] == [
        ("hello_user-one", "FAILED"),
        ("shared", "SUCCEEDED"),
    ]


NEGATIVE = "InvalidInputException: Test summary: status count cannot be negative"


@pytest.mark.parametrize(
    "file_format, content, why",
    [
        ("JUNITXML", None, "no matching artifact paths found"),
        ("JUNITXML", "", "it is no XML"),
        ("JUNITXML", "no xml", "it is no XML"),
        ("JUNITXML", "<testsuite><testcase name='a'>", "it is no XML"),
        ("JUNITXML", '<?xml version="1.0" encoding="no"?><testsuite/>', "it is no XML"),
        ("JUNITXML", BOMB, "it is no XML"),
        ("JUNITXML", FILE, "it is no XML"),
        ("JUNITXML", "<coverage/>", "expected element type <testsuite> but have <coverage>"),
        ("JUNITXML", '<testsuite tests="1" failures="2"/>', NEGATIVE),
        ("JUNITXML", '<testsuite tests="3" failures="-1"/>', NEGATIVE),
        ("JUNITXML", '<testsuites><testsuite tests="1" errors="2"/></testsuites>', NEGATIVE),
        ("JUNITXML", f'<testsuite tests="{"9" * 5000}"/>', "is no count"),
        ("JUNITXML", "<testsuite>" * 3000 + "</testsuite>" * 3000, "more than 100 levels deep"),
        ("COBERTURAXML", "<testsuite/>", "expected element type <coverage> but have <testsuite>"),
        ("CUCUMBERJSON", "{", "Expecting property name"),
        ("SIMPLECOV", "[" * 100_000, "it is nested too deeply"),
    ],
)
def test_report_that_cannot_be_read_fails_the_build(tmp_path, source, file_format, content, why):
    """See aws/aws-cdk#13867, aquasecurity/trivy#902 and prowler-cloud/prowler#1182."""
    if content is not None:
        (source / "report.xml").write_text(content)
    found = ReportGroup("tests", Files(("report.xml",)), file_format)
    [report], reason, lines = collect(tmp_path, found)
    assert (report.status, report.cases) == ("INCOMPLETE", ())
    assert reason.startswith("Error in UPLOAD_ARTIFACTS phase: [tests: [")
    assert why in reason and reason.endswith("]")
    assert ("Skipping invalid file path report.xml" in lines) is (content is None)


TIMES = [("inf", 0), ("nan", 0), ("1e300", 0), ("-1", 0), ("9" * 5000, 0), ("1,5", 0), (" 2 ", 2)]


@pytest.mark.parametrize("time, seconds", TIMES)
def test_report_s_time_that_cannot_be_is_none(tmp_path, source, time, seconds):
    (source / "report.xml").write_text(f'<testsuite><testcase name="a" time="{time}"/></testsuite>')
    [report], reason, _ = collect(tmp_path, group("tests", "report.xml"))
    assert ([case.seconds for case in report.cases], reason) == ([seconds], "")


def test_report_counts_each_case_of_suites_in_suites_once(tmp_path, source):
    case = '<testcase name="{}"/>'.format
    (source / "report.xml").write_text(
        f'<testsuites xmlns="urn:x"><testsuite name="all" tests="3">{case("a")}'
        f'<testsuite name="inner" tests="2">{case("b")}<testsuite name="deep">{case("c")}'
        "</testsuite></testsuite></testsuite></testsuites>"
    )
    [report], _, _ = collect(tmp_path, group("tests", "report.xml"))
    assert [(each.name, each.suite) for each in report.cases] == [
        ("a", "all"),
        ("b", "inner"),
        ("c", "deep"),
    ]
    assert dict(report.counts) == {"SUCCEEDED": 3}


@pytest.mark.parametrize(
    "pattern, base", [("../secret.xml", "."), ("secret.xml", ".."), ("link.xml", ".")]
)
def test_report_reads_nothing_beyond_the_source(tmp_path, source, pattern, base):
    (tmp_path / "secret.xml").write_text(SUITE)
    (source / "link.xml").symlink_to(tmp_path / "secret.xml")
    [report], _, _ = collect(tmp_path, group("tests", pattern, base_directory=base))
    assert report.status == "INCOMPLETE"


def test_report_keeps_500_cases_of_more(tmp_path, source):
    cases = '<testcase name="t"/>' * 600 + '<testcase name="bad"><failure/></testcase>'
    (source / "report.xml").write_text(f'<testsuite name="s">{cases}</testsuite>')
    [report], _, _ = collect(tmp_path, group("tests", "report.xml"))
    assert len(report.cases) == 500 and report.cases[0].name == "bad"
    assert dict(report.counts) == {"FAILED": 1, "SUCCEEDED": 600}


REPORTS = """\
version: 0.2
env: {variables: {STAGE: dev}}
phases:
  build:
    commands:
      - WHERE=out
      - mkdir $WHERE
      - echo "<testsuite><testcase name='a'/></testsuite>" > out/dev.xml
reports:
  $STAGE-tests:
    files: ["${STAGE}.xml"]
    base-directory: $CODEBUILD_SRC_DIR/$WHERE
"""


def test_report_s_group_files_and_folder_may_name_variables(run_build):
    """https://docs.aws.amazon.com/codebuild/latest/userguide/test-report-group-create.html"""
    found = run_build(REPORTS)
    assert (found.status, found.reason) == ("SUCCEEDED", "")
    [report] = found.reports
    assert (report["group"], report["files"]) == ("hello_user-dev-tests", ["dev.xml"])


@pytest.mark.parametrize("action", ["CreateReportGroup", "UpdateReport", "BatchPutTestCases"])
def test_report_that_the_role_may_not_make_fails_the_build(run_build, action):
    """As in aws/aws-cdk#7367."""
    found = run_build(REPORTS, denied=[f"codebuild:{action}"])
    assert (found.status, found.reports) == ("FAILED in UPLOAD_ARTIFACTS", [])
    assert "Error in UPLOAD_ARTIFACTS phase: [dev-tests: [error " in found.reason
    assert f"codebuild:{action} on resource: {GROUPS}/hello_user-dev-tests]]" in found.reason
    assert "BuildRole" in found.hint
    assert f"status code: CLIENT_ERROR Message: {found.reason}\n" in found.text


def test_report_of_coverage_needs_a_permission_of_its_own(run_build):
    text = REPORTS.replace("<testsuite><testcase name='a'/></testsuite>", "<coverage/>")
    text += "    file-format: CoberturaXml\n"
    assert run_build(text, denied=["codebuild:BatchPutTestCases"]).status == "SUCCEEDED"
    found = run_build(text, denied=["codebuild:BatchPutCodeCoverages"])
    assert found.status == "FAILED in UPLOAD_ARTIFACTS"


@pytest.mark.parametrize("phase", ["pre_build", "build", "post_build"])
def test_report_is_not_read_after_an_abort(run_build, phase):
    found = run_build(
        f"version: 0.2\nphases:\n  {phase}:\n    on-failure: ABORT\n    commands: [exit 1]\n"
        "reports: {tests: {files: none.xml}}\n"
    )
    assert found.status == f"FAILED in {phase.upper()}"
    assert "UPLOAD_ARTIFACTS" not in found.text


def spec(text):
    return read(f"version: 0.2\nphases:\n  build:\n    commands: x\nreports:\n{text}".encode())


def test_reports_are_read_with_what_they_leave_out():
    found = spec(
        "  tests:\n    files: [a.xml, b.xml]\n    discard-paths: yes\n    base-directory: out\n"
    )
    assert found.reports == (ReportGroup("tests", Files(("a.xml", "b.xml"), "out", True)),)
    assert spec("  tests:\n    files: a.xml\n    file-format: junitxml\n").notes == []


def test_report_of_another_format_is_named_and_only_checked(tmp_path, source):
    found = spec("  tests:\n    files: a.xml\n    file-format: NUNITXML\n")
    assert "NUNITXML is checked" in found.notes[0][1]
    (source / "a.xml").write_text("<test-results/>")
    [report], reason, _ = collect(tmp_path, *found.reports)
    assert (report.status, report.file_format, reason) == ("SUCCEEDED", "NUNITXML", "")
    assert "this laptop shows no more of NUNITXML" in report.message


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


def test_report_that_the_role_may_not_make_takes_the_release_back(quick):
    """The role may make the project's groups; the build is red, though all commands are green."""
    before = quick.live()
    quick.say("reports")
    (quick.clone / "suite.xml").write_text(SUITE)
    text = (quick.clone / "buildspec.yml").read_text() + "reports:\n"
    for name in ("unit-tests", f"{GROUPS}/other"):
        text += f"  {name}:\n    files: suite.xml\n"
    quick.write("buildspec.yml", text)
    quick.commit("Report")
    said = quick.push()
    assert f"FAILED in UPLOAD_ARTIFACTS: nothing was released, version {before}" in said[-1]
    assert any("is not authorized to perform: codebuild:CreateReport on" in line for line in said)
    assert quick.live() == before
    record = quick.builds()[-1]
    assert [(each["group"], each["status"]) for each in record["reports"]] == [
        ("hello_user-unit-tests", "FAILED")
    ]
    folder = quick.clone / ".sandbox" / "builds" / str(record["number"])
    [report] = json.loads((folder / "reports.json").read_text())
    assert report["cases"][0]["message"] == "E  assert 1 == 2"
    last = progress.read(folder / "progress").phases[-1]
    assert (last.name, last.code) == ("UPLOAD_ARTIFACTS", "CLIENT_ERROR")
    quick.say("green after a report")
    quick.push()
