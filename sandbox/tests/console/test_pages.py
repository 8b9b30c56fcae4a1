"""The console over HTTP, without a browser."""

import json
import re
import shlex
import time
from html import unescape
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest
from site_visitor import Visitor
from starlette.requests import Request

from clones import TIMEOUT
from sandbox.console import app, key, render
from sandbox.console.project_details import SHOWN
from students import until

HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(2)>'
NAMES = ["hello_user", "hello_user-tests"]
LOADS = {"src", "href", "action", "data", "poster", "srcset", "formaction"}


@pytest.fixture(scope="module")
def visitor(shared_quick):
    someone = Visitor(shared_quick)
    someone.enter()
    return someone


class Tags(HTMLParser):
    """Collects each element that a page has, with its attributes."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


def assert_harmless(text):
    """Check that a page runs and loads nothing but our own files."""
    for tag, attributes in Tags(text).found:
        assert tag != "img" and "style" not in attributes, (tag, attributes)
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
        if tag == "script":
            assert attributes == {"defer": None, "src": "/console/static/console.js"}
        for name in LOADS & attributes.keys():
            assert re.match(r"/console/|#", attributes[name]), (tag, attributes)


def pages_of(visitor, number):
    tabs = ("", "/phases", "/reports", "/variables", "/details")
    return ["/console/", "/console/function", *(f"/console/builds/{number}{tab}" for tab in tabs)]


def test_console_shows_nothing_without_the_key(quick):
    stranger = Visitor(quick)
    for path in (
        "/console",
        "/console/",
        "/console/builds/1/log",
        "/console/state",
        "/console/?key=x",
    ):
        status, _, text = stranger.ask(path)
        assert status == 403, path
        assert "python3 -m sandbox console" in text and "Build history" not in text
    status, _, _ = stranger.post("/console/builds", token="x")
    assert status == 403


def test_console_gives_the_key_to_this_browser_only(quick):
    cookie = Visitor(quick).enter()
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie and "Path=/console" in cookie
    key = (quick.clone / ".sandbox" / "account" / "console.key").stat()
    assert key.st_mode & 0o077 == 0


@pytest.mark.parametrize("left", [b"", b"\xff" * 24, b"short"])
def test_key_that_is_broken_lets_nobody_in_and_is_made_anew(tmp_path, monkeypatch, left):
    monkeypatch.setattr(key, "FILE", tmp_path / "key")
    key.FILE.write_bytes(left)
    asked = {"type": "http", "method": "GET", "path": "/console/", "server": ("localhost", 1)}
    for query in (b"", b"key="):
        request = Request(asked | {"headers": [], "query_string": query})
        assert app.refusal(request).status_code == 403
    made = key.key()
    assert len(made) == 24 and key.key() == made and key.FILE.stat().st_mode & 0o777 == 0o600


def test_cookies_of_other_programs_do_not_lock_the_student_out(visitor):
    for others in ('prefs={"a": 1}; ', "=; ; x; ", 'a="b; c=\xe9; '):
        cookie = {"Cookie": f"{others}{visitor.cookie}; b=[2]"}
        assert visitor.ask("/console/", headers=cookie)[0] == 200, others
    assert visitor.ask("/console/", headers={"Cookie": f"x{visitor.cookie}"})[0] == 403


def test_pages_ask_nothing_of_the_function(visitor, quick):
    quick.say("unasked")
    quick.push()
    group = "/aws/lambda/hello_user"
    logged = lambda: quick.client("logs").filter_log_events(logGroupName=group)["events"]  # noqa: E731
    before = logged()
    for path in pages_of(visitor, quick.newest()):
        visitor.get(path)
    assert logged() == before


def test_pages_know_what_is_live_without_a_key_of_the_account(visitor, quick):
    """They are made in its own process, which need not ask itself, nor sign what it asks."""
    live = quick.live()
    quick.client("lambda").invoke(FunctionName="hello_user", Qualifier="live")
    folder = quick.clone / ".sandbox" / "account"
    (folder / "keys.json").rename(folder / "away")
    try:
        project, function = visitor.get("/console/"), visitor.get("/console/function")
    finally:
        (folder / "away").rename(folder / "keys.json")
    assert f"version {live}" in project and "/_aws/execute-api/" in project
    assert "hello_user-tests" in project
    assert f"Code of version {live}" in function and "def hello_user_handler" in function
    assert "REPORT RequestId" in function


def test_build_is_stopped_on_its_page(visitor, quick):
    quick.say("long", "sleep 300")
    push = quick.start_push()
    quick.wait_for(lambda: quick.builds()[-1]["status"] == "IN_PROGRESS")
    number = quick.newest()
    text = visitor.get(f"/console/builds/{number}")
    where = f"/console/builds/{number}/stop"
    assert f'action="{where}"' in text
    assert visitor.post(where, token="forged")[0] == 403
    assert visitor.post(where, {"Origin": "http://evil.example"}, token=visitor.token())[0] == 403
    assert visitor.ask(where)[0] == 404 and quick.builds()[-1]["status"] == "IN_PROGRESS"
    status, headers, _ = visitor.post(where, token=visitor.token())
    assert (status, headers["Location"]) == (303, f"/console/builds/{number}")
    push.wait(TIMEOUT)
    assert quick.builds()[-1]["status"] == "STOPPED"
    assert "Stop build" not in visitor.get(f"/console/builds/{number}")
    quick.say("short")
    quick.push()


def test_log_that_grows_while_it_is_sent_is_sent_as_it_was(tmp_path):
    path = tmp_path / "log"
    size = (1 << 20) + 5
    path.write_bytes(b"x" * size)
    stream = open(path, "rb")
    parts = app.sent(stream, size)
    first = next(parts)
    with open(path, "ab") as more:
        more.write(b"y" * 100)
    assert first + b"".join(parts) == b"x" * size and stream.closed


def test_pages_are_there_and_load_only_our_own_files(visitor, quick):
    number = quick.newest()
    for path in pages_of(visitor, number):
        status, headers, text = visitor.ask(path)
        assert status == 200, (path, text)
        assert_harmless(text)
        assert ("CodeBuild's own" in text) == ("/builds/" in path)
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert "Access-Control-Allow-Origin" not in headers
        assert re.search(r"<title>\S", text) and '<html lang="en">' in text
    for name in ("console.css", "log.css", "console.js", "icon-good.svg"):
        assert visitor.ask(f"/console/static/{name}")[0] == 200


@pytest.mark.parametrize(
    "path, status",
    [
        ("/console/builds/99999", 404),
        ("/console/builds/-1", 404),
        ("/console/builds/1/nothing", 404),
        ("/console/static/../app.py", 404),
        ("/console/static/%2e%2e/app.py", 404),
        ("/console/static/..%2f..%2fapp.py", 404),
        ("/console/nothing", 404),
        ("/console/?before=x'", 200),
        ("/console/function?version=../../1", 200),
        ("/console/function?version=$LATEST", 200),
    ],
)
def test_address_that_names_nothing_is_told_so(visitor, path, status):
    found, _, text = visitor.ask(path)
    assert found == status
    told = text.split("Code of version")[0]  # below are the function's own words
    assert "Traceback" not in told and "import" not in told


def test_project_shows_what_is_live_and_the_last_builds(visitor, quick):
    text = visitor.get("/console/")
    record = quick.builds()[-1]
    assert f"version {quick.live()}" in text
    assert f'href="/console/builds/{record["number"]}"' in text
    assert record["commit"][:7] in text and "Say " in text


def test_project_details_are_in_order_and_name_the_lines_of_the_template(visitor, quick):
    template = (quick.clone / "template.yml").read_text().splitlines()
    details = visitor.get("/console/").partition('id="details"')[2].split("</details>")[:-1]
    assert [re.search(r"<summary>(.*)</summary>", each)[1] for each in details] == NAMES
    for part, name in zip(details, NAMES, strict=True):
        rows = re.findall(
            r'<th scope="row">(.*)</th><td class="text">([^<]*)</td>.*line (\d+)', part
        )
        labels = [label for label, _, _ in rows]
        assert labels == [each for each in SHOWN.values() if each in labels] and len(rows) > 12
        at = int(rows[0][2])
        assert template[at - 1] == f"      Name: {name}"
        assert "AWS::CodeBuild::Project" in template[at - 3]
        assert all(0 <= int(line) - at < 50 for *_, line in rows)
        keys = {label: key.split(".")[-1] for key, label in SHOWN.items()}
        for label, _, line in rows:
            assert f"{keys[label]}:" in template[int(line) - 1], label
    values = {label: unescape(value) for label, value, _ in rows}
    assert values["Webhook event filter groups"].endswith(", not HEAD_REF ^refs/heads/main$")
    assert "pytest --junitxml=report.xml" in values["Buildspec"]
    assert ":role/" in values["Service role"]


def test_start_build_builds_main(visitor, quick):
    before = quick.newest()
    status, headers, _ = visitor.post("/console/builds", token=visitor.token())
    assert status == 303
    assert headers["Location"] == f"/console/builds/{before + 1}"
    quick.wait_for(lambda: quick.builds()[-1]["status"] == "SUCCEEDED")
    assert quick.builds()[-1]["source_version"] == "main"


@pytest.mark.parametrize(
    "headers, has_token",
    [
        ({}, False),
        ({"Origin": "http://evil.example"}, True),
        ({"Origin": "null"}, True),
        ({"Sec-Fetch-Site": "cross-site"}, True),
        ({"Sec-Fetch-Site": "same-site"}, True),
    ],
)
def test_start_build_needs_the_page_and_its_origin(visitor, quick, headers, has_token):
    before = len(quick.builds())
    token = visitor.token() if has_token else "forged"
    assert visitor.post("/console/builds", headers, token=token)[0] == 403
    assert visitor.ask("/console/builds", "GET")[0] == 405
    assert len(quick.builds()) == before


def test_call_shows_status_headers_and_body(visitor):
    status, _, text = visitor.post("/console/call", token=visitor.token(), query="user=" + HOSTILE)
    assert status == 200
    assert_harmless(text)
    assert "200 OK" in text.replace("\n", " ") or "200 " in text
    assert "&#34;message&#34;" in text and re.search(r"[\d.]+ ms", text)
    assert "content-type" in text.lower()
    asked = re.search(r"GET</span> <code>(\S+\?user=\S+)</code>", text)
    assert asked and unquote(unescape(asked[1])).endswith("user=" + HOSTILE)
    assert visitor.post("/console/call", token="forged", query="user=x")[0] == 403


def test_state_changes_when_a_build_does(visitor, quick):
    before = json.loads(visitor.get("/console/state"))
    assert before["tone"] == "good" and "went live" in before["status"]
    assert json.loads(visitor.get("/console/state")) == before
    quick.say("red", "false")
    quick.push()
    after = json.loads(visitor.get("/console/state"))
    assert after["tone"] == "bad" and after["seen"] != before["seen"]
    assert "failed in PRE_BUILD" in after["status"]


def test_log_grows_and_has_the_line_that_failed(visitor, quick, tmp_path):
    go = tmp_path / "go"
    quick.say("grows", f"echo '<i>first</i>'; {until(go)}; printf '\\033[31mred\\033[0m\\n'; false")
    push = quick.start_push()
    quick.wait_for(lambda: quick.builds()[-1]["status"] == "IN_PROGRESS")
    path = f"/console/builds/{quick.newest()}"
    quick.wait_for(lambda: "\n&lt;i&gt;first&lt;/i&gt;" in visitor.get(path))
    before, text = json.loads(visitor.get("/console/state")), visitor.get(path)
    assert "red\n" not in text and 'data-status="None" open' in text
    go.touch()
    push.wait(TIMEOUT)
    assert json.loads(visitor.get("/console/state"))["seen"] != before["seen"]
    text = visitor.get(path)
    assert_harmless(text)
    assert "red\n" in text and 'data-status="1" open' in text and "exit status 1" in text
    assert text.count('id="failed"') == 1 and "[31m" not in text.split("</code>")[-1]


def test_log_is_found_in_and_sent_raw(visitor, quick):
    quick.say("to be found", "echo 'a <needle> in it'")
    quick.push()
    number = quick.newest()
    text = visitor.get(f"/console/builds/{number}?find=NEEDLE%3E+in")
    assert "a &lt;needle&gt; in it" in text and "lines with" in text
    status, headers, raw = visitor.ask(f"/console/builds/{number}/log")
    assert (status, headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
    assert raw == quick.log()
    _, headers, _ = visitor.ask(f"/console/builds/{number}/log?download")
    assert headers["Content-Disposition"].startswith("attachment")


def test_function_shows_versions_and_their_code(visitor, quick):
    quick.say("one word")
    quick.push()
    quick.say("another word")
    quick.push()
    live = quick.live()
    text = visitor.get("/console/function")
    assert f"Code of version {live}" in text and "another word" in text
    assert f"--function-version {int(live) - 1}" in text
    diff = text.split("What has changed since version")[1]
    assert 'class="old">-' in diff and "one word" in diff and 'class="new">+' in diff
    older = visitor.get(f"/console/function?version={int(live) - 1}")
    assert f"Code of version {int(live) - 1}" in older


def test_page_says_that_live_was_moved_by_hand(visitor, quick):
    live, number = quick.release("to be moved from"), quick.newest()
    move = {"FunctionName": "hello_user", "Name": "live"}
    told = f", after build {number} had released version {live};"
    assert told not in visitor.get("/console/")
    for version, share in ((str(int(live) - 1), {}), (live, {"1": 0.5})):
        routing, before = {"AdditionalVersionWeights": share}, render.iso(time.time())
        quick.client("lambda").update_alias(**move, FunctionVersion=version, RoutingConfig=routing)
        quick.wait_for(lambda: told in visitor.get("/console/"))
        moved = re.search('moved by hand at <time datetime="(.*?)">', visitor.get("/console/"))
        assert before <= moved[1] <= render.iso(time.time())
        [command] = re.findall(
            r"^aws (lambda .*)</pre>", visitor.get("/console/function"), re.MULTILINE
        )
        assert ("--routing-config" in command) == bool(share)
    quick.aws(*shlex.split(unescape(command)))  # leaves the canary's, and one version only
    alias = quick.client("lambda").get_alias(FunctionName="hello_user", Name="live")
    assert not (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights")
    assert alias["FunctionVersion"] == str(int(live) - 1)
    quick.client("lambda").update_alias(**move, FunctionVersion=live, RoutingConfig={})
    quick.wait_for(lambda: told not in visitor.get("/console/"))


def test_function_names_no_version_of_a_red_build_as_a_way_back(visitor, quick):
    good = int(quick.live())
    publish = "aws lambda publish-version --function-name hello_user --description red"
    quick.say("red", publish, "exit 1")
    quick.push()
    quick.say("good again")
    quick.push()
    assert int(quick.live()) == good + 2
    text = visitor.get("/console/function")
    assert f"--function-version {good}<" in text
    rows = text.split("<tr")
    for version, never in ((good, False), (good + 1, True), (good + 2, False)):
        [row] = [row for row in rows if f"?version={version}#" in row]
        assert ("never live" in row) == never, row
    assert "may be broken" not in text
    chosen = visitor.get(f"/console/function?version={good + 1}")
    assert f"No green build has released version {good + 1}: it may be broken." in chosen


def test_hostile_names_and_output_are_shown_and_never_run(visitor, quick):
    quick.say(HOSTILE.replace("'", ""), f"echo '{HOSTILE}'")
    quick.git("commit", "-q", "--amend", "-m", f"{HOSTILE} \x1b[31m\u202e")
    branch = "a<b>'\"$(x)"
    quick.git("push", "sandbox", f"HEAD:refs/heads/{branch}", code=None)
    quick.push("--force")
    record = quick.builds()[-1]
    for path in [
        *pages_of(visitor, record["number"]),
        f"/console/builds/{record['number']}?find=<s",
    ]:
        text = visitor.get(path)
        assert_harmless(text)
        assert "alert(1)" not in [tag for tag, _ in Tags(text).found]
        assert "<script>alert" not in text and "\x1b" not in text and "\u202e" not in text
    assert "&lt;script&gt;alert(1)" in visitor.get(f"/console/builds/{record['number']}")
    quick.say("harmless")
    quick.push()


def test_projects_are_shown_each_with_its_newest_build(visitor, quick):
    quick.say("two projects")
    quick.git("push", "sandbox", "HEAD:refs/heads/aside", "HEAD:main")
    first, second = sorted(quick.builds()[-2:], key=lambda build: build["project"])
    assert (first["project"], second["project"]) == ("hello_user", "hello_user-tests")
    text = visitor.get("/console/")
    newest = text.partition('id="pipeline"')[2].partition('class="steps"')[0]
    last = quick.builds()[-1]
    assert f">Build {last['number']}</a>" in newest and f">{last['project']}</p>" in newest
    table = text.partition('id="projects"')[2].partition("</table>")[0]
    _, *rows = table.split("<tr>")[1:]
    for build, row in zip((first, second), rows, strict=True):
        assert f">{build['project']}<" in row and f'/console/builds/{build["number"]}"' in row
        page = visitor.get(f"/console/builds/{build['number']}/details")
        assert f"{build['project']}:{build['id']}" in page


def test_record_of_an_older_version_is_shown(visitor, quick):
    """It has no phases: the log is shown in one piece."""
    record = quick.builds()[-1]
    folder = quick.clone / ".sandbox" / "builds" / str(record["number"])
    (folder / "progress").unlink()
    record.pop("reports")
    (folder / "build.json").write_text(json.dumps(record))
    for path in pages_of(visitor, record["number"]):
        visitor.get(path)
    assert "Entering phase" in visitor.get(f"/console/builds/{record['number']}")
