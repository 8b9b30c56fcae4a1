"""The console over HTTP, without a browser."""

import json
import re
from html.parser import HTMLParser

import pytest
from site_visitor import Visitor

HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(2)>'
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


def test_pages_are_there_and_load_only_our_own_files(visitor, quick):
    number = quick.newest()
    for path in pages_of(visitor, number):
        status, headers, text = visitor.ask(path)
        assert status == 200, (path, text)
        assert_harmless(text)
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
    assert "Traceback" not in text and "import" not in text.split("Code of version")[0]


def test_project_shows_what_is_live_and_the_last_builds(visitor, quick):
    text = visitor.get("/console/")
    record = quick.builds()[-1]
    assert f"version {quick.live()}" in text
    assert f'href="/console/builds/{record["number"]}"' in text
    assert record["commit"][:7] in text and "Say " in text
    assert re.search(r"answered 200 in \d+ ms", text)


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
    status, _, text = visitor.post("/console/call", token=visitor.token(), user=HOSTILE)
    assert status == 200
    assert_harmless(text)
    assert "200 OK" in text.replace("\n", " ") or "200 " in text
    assert "&#34;message&#34;" in text and re.search(r"[\d.]+ ms", text)
    assert "content-type" in text.lower()
    assert visitor.post("/console/call", token="forged", user="x")[0] == 403


def test_state_changes_when_a_build_does(visitor, quick):
    before = json.loads(visitor.get("/console/state"))
    assert before["tone"] == "good" and "went live" in before["status"]
    assert json.loads(visitor.get("/console/state")) == before
    quick.say("red", "false")
    quick.push()
    after = json.loads(visitor.get("/console/state"))
    assert after["tone"] == "bad" and after["seen"] != before["seen"]
    assert "failed in PRE_BUILD" in after["status"]
    quick.say("green again")
    quick.push()


def test_events_tell_a_build_from_its_beginning_to_its_end(visitor, quick):
    quick.say("events", "echo '<i>first</i>'; printf '\\033[31mred\\033[0m\\n'", "false")
    quick.push()
    number = quick.newest()
    status, headers, text = visitor.ask(f"/console/builds/{number}/events")
    assert (status, headers.get_content_type()) == (200, "text/event-stream")
    events = [
        (lines[0].removeprefix("event: "), json.loads(lines[1].removeprefix("data: ")))
        for lines in (block.split("\n") for block in text.strip().split("\n\n"))
    ]
    kinds = [kind for kind, _ in events]
    assert kinds[0] == "start" and kinds[-1] == "end"
    assert {"phase", "piece", "text", "done"} <= set(kinds)
    html = "".join(values.get("html", "") for _, values in events)
    assert "&lt;i&gt;first&lt;/i&gt;" in html and "fg-red" not in html
    assert_harmless(html)
    [failed] = [
        values for kind, values in events if kind == "done" and "exit status 1" in values["html"]
    ]
    assert failed["open"] is True
    quick.say("no events")
    quick.push()


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


def test_variables_hide_secrets(visitor, quick):
    ssm = quick.client("ssm")
    ssm.put_parameter(Name="/hello/word", Value="swordfish", Type="SecureString", Overwrite=True)
    quick.say("with variables")
    text = (quick.clone / "buildspec.yml").read_text()
    quick.write(
        "buildspec.yml",
        text.replace(
            "  variables:\n",
            "  parameter-store:\n    WORD: /hello/word\n"
            "  variables:\n    PLAIN: shown\n    DB_PASSWORD: hunter2\n",
        ),
    )
    quick.commit("Set variables")
    quick.push()
    number = quick.newest()
    shown = visitor.get(f"/console/builds/{number}/variables")
    assert "PLAIN" in shown and "shown" in shown
    assert "DB_PASSWORD" in shown and "hunter2" not in shown
    assert "WORD" in shown and "swordfish" not in shown
    quick.say("without variables")
    quick.push()


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


def test_function_names_no_version_of_a_red_build_as_a_way_back(visitor, quick):
    quick.say("good")
    quick.push()
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


def test_record_of_an_older_version_is_shown(visitor, quick):
    """It has no phases: the log is shown in one piece."""
    quick.say("old record")
    quick.push()
    record = quick.builds()[-1]
    folder = quick.clone / ".sandbox" / "builds" / str(record["number"])
    (folder / "progress").unlink()
    record.pop("reports")
    (folder / "build.json").write_text(json.dumps(record))
    for path in pages_of(visitor, record["number"]):
        visitor.get(path)
    assert "Entering phase" in visitor.get(f"/console/builds/{record['number']}")
