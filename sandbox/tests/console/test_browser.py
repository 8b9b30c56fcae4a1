"""The console in a real browser: what a student sees and does."""

import json
import subprocess
import time
from pathlib import Path

import pytest
from browsers import FOUND, NAMES, browser

from clones import TIMEOUT
from sandbox.laptop.paths import ROOT
from students import change_greeting

pytestmark = pytest.mark.skipif(
    not FOUND, reason=f"there is no browser here: looked for {', '.join(NAMES[:4])}"
)
PATIENCE = 60_000  # milliseconds; nothing waits so long, it only ends what hangs
# The smallest text of a page, in pixels, and how many boxes are cut without a shadow.
SMALLEST = """Math.min(...[...document.querySelectorAll("main *")]
    .filter(it => it.textContent.trim()).map(it => parseFloat(getComputedStyle(it).fontSize)))"""
UNMARKED = """[...document.querySelectorAll("main :not(pre)")].filter(it => {
    const style = getComputedStyle(it);
    return it.scrollWidth > it.clientWidth + 1 && style.overflowX === "auto"
        && !style.backgroundImage.includes("gradient"); }).length"""
HOSTILE = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>"


@pytest.fixture(scope="module")
def chromium():
    with browser() as running:
        yield running


@pytest.fixture(scope="module")
def address(shared_quick):
    env = shared_quick.env | {"BROWSER": "true"}
    return shared_quick.sandbox("console", env=env).stdout.strip()


def latest(student, status):
    """Return the number of the last of the tutorial's builds that went so, tests and all."""
    builds = [build for build in student.builds() if build["project"] == "hello_user"]
    found = [each["number"] for each in builds if each["status"] == status]
    folder = student.clone / ".sandbox" / "builds"
    return [number for number in found if (folder / str(number) / "reports.json").exists()][-1]


class Visit:
    """A page that is open, with all that it asked for and all that went wrong in it."""

    def __init__(self, browser, address, **settings):
        self.origin = address.split("/console/")[0]
        self.context = browser.new_context(**settings)
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.asked, self.wrong = [], []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("dialog", lambda dialog: self.wrong.append(f"dialog {dialog.message}"))
        self.page.on("console", self.note)
        self.page.goto(address)

    def note(self, message):
        if message.type == "error":
            self.wrong.append(f"{message.text} {message.location}")

    def go(self, path):
        self.page.goto(self.origin + path)

    def close(self):
        self.context.close()
        beyond = [url for url in self.asked if not url.startswith(f"{self.origin}/console")]
        assert beyond == [] and len(self.asked) > 1
        assert self.wrong == []


@pytest.fixture
def visit(chromium, address):
    visits = []

    def start(**settings):
        visits.append(Visit(chromium, address, **settings))
        return visits[-1]

    yield start
    for each in visits:
        each.close()


def until(page, expression):
    """Wait until an expression is true; Playwright's own way needs a page that allows eval."""
    deadline = time.monotonic() + PATIENCE / 1000
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, expression
        page.wait_for_timeout(50)


def test_student_sees_red_then_green_without_loading_the_page_again(student, visit):
    red, green = student.newest() + 1, student.newest() + 2
    before = student.live()
    seen = visit()
    page = seen.page
    page.evaluate("window.stayed = true")
    text = (student.clone / "test_hello_world.py").read_text()
    student.edit("test_hello_world.py", "Hello CI CD Developer!", "Good day, CI CD Developer!")
    student.commit("Expect another greeting")
    push = student.start_push()
    page.locator("#history").get_by_role("link", name=str(red), exact=True).wait_for()
    page.locator("#pipeline").get_by_role("link", name=f"Build {red}").click()

    # The log comes by itself, ends at the line that failed, and has the hint beside it.
    page.locator("#log summary", has_text="pytest --junitxml").wait_for()
    failed = page.locator("#failed")
    failed.wait_for()
    assert "AssertionError" in failed.inner_text()
    assert page.locator("#log .hint").inner_text().startswith("hint: mend it")
    box = "document.getElementById('failed').getBoundingClientRect()"
    until(page, f"{box}.top >= 0 && {box}.bottom <= innerHeight")
    assert page.locator("details.command[open]", has_text="AssertionError").count() == 1
    assert page.locator("details.command", has_text="pip install").get_attribute("open") is None
    page.locator("#now.tone-bad", has_text=f"Build {red} failed in BUILD").wait_for()
    until(page, "document.getElementById('icon').href.endsWith('icon-bad.svg')")
    assert page.title().startswith("✕")
    assert push.wait(TIMEOUT) == 0

    page.get_by_role("link", name="Reports").click()
    case = page.locator("tr", has_text="test_hello_user").first
    assert "Failed" in case.inner_text() and "Good day, CI CD Developer!" in case.inner_text()
    assert "hello_user-pytest" in page.inner_text("main")

    page.get_by_role("link", name="Project").click()
    page.locator("#pipeline", has_text=f"version {before}").wait_for()
    page.evaluate("window.stayed = true")
    student.write("test_hello_world.py", text)
    change_greeting(student, "Welcome")
    push = student.start_push()
    live = page.locator(".stage", has_text="Live").filter(has_not_text=f"version {before}")
    live.filter(has_text="Say Welcome").wait_for()
    page.locator("#now.tone-good", has_text=f"Build {green} succeeded").wait_for()
    assert page.title().startswith("✓")
    assert push.wait(TIMEOUT) == 0

    page.get_by_label("query").fill("user=Ada %26 <b>Bob</b>")
    page.get_by_role("button", name="Call it").click()
    page.locator("#answer", has_text="200 OK").wait_for()
    assert '{"message": "Welcome Ada & <b>Bob</b>!"}' in page.inner_text("#answer")
    assert " ms" in page.inner_text("#answer")
    assert page.evaluate("window.stayed")  # all of it on one page, never loaded again


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("colour", ["red", "green"])
def test_picture_of_the_console_is_small(colour, theme):
    picture = ROOT / "images" / f"console-{colour}-{theme}.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size < 150_000


def test_start_build_leads_to_the_build_that_runs(student, visit):
    number = student.newest() + 1
    page = visit().page
    page.get_by_role("button", name="Start build").click()
    page.wait_for_url(f"**/console/builds/{number}")
    page.locator("#head", has_text="Succeeded").wait_for()
    assert page.locator("#log details.command").count() > 4
    assert page.locator("#log details.command[open]").count() == 0
    assert "12 passed" in page.locator("#log").text_content()


def test_hostile_log_message_and_branch_run_nothing(student, visit):
    seen = visit()
    spec = (student.clone / "buildspec.yml").read_text()
    student.write(
        "buildspec.yml",
        spec.replace(
            "      - pip install", f'      - |\n        echo "{HOSTILE}"; false\n      - pip'
        ),
    )
    student.commit(HOSTILE)
    assert student.start_push("HEAD:refs/heads/<img/src=x>", "HEAD:main").wait(TIMEOUT) == 0
    number = [build["number"] for build in student.builds() if build["project"] == "hello_user"][-1]
    page = seen.page
    for path in ("", f"builds/{number}", f"builds/{number}/phases", f"builds/{number}/details"):
        seen.go(f"/console/{path}")
        until(page, "document.readyState === 'complete'")
        assert "<script>" in page.inner_text("main") or path.endswith("details")
        assert page.evaluate("window.hacked") is None
        assert page.locator("main img, main script").count() == 0
    student.write("buildspec.yml", spec)
    student.commit("Mend it")
    student.push()


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pages_fit_and_have_no_violation(student, visit, theme, width):
    from axe_playwright_python.sync_playwright import Axe

    red, green = latest(student, "FAILED"), latest(student, "SUCCEEDED")
    tabs = [f"builds/{red}{tab}" for tab in ("", "/phases", "/reports", "/variables", "/details")]
    seen = visit(color_scheme=theme, viewport={"width": width, "height": 800})
    for path in ("", "function", *tabs, f"builds/{green}", f"builds/{red}?find=error", "nothing"):
        seen.go(f"/console/{path}")
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width, path
        assert seen.page.evaluate(SMALLEST) >= 11, path
        assert seen.page.evaluate(UNMARKED) == 0, path
        found = Axe().run(seen.page)
        assert found.violations_count == 0, (path, found.generate_report())
    seen.wrong.clear()  # the browser tells of the last one's 404


def test_pages_work_without_scripts(student, visit):
    page, number = visit(java_script_enabled=False).page, str(latest(student, "SUCCEEDED"))
    page.get_by_label("query").fill("user=Ada")
    page.get_by_role("button", name="Call it").click()
    page.locator("#answer", has_text="200 OK").wait_for()
    page.locator("#history").get_by_role("link", name=number, exact=True).click()
    page.get_by_label("Find in the log").fill("passed in")
    page.get_by_role("button", name="Find").click()
    assert "12 passed in" in page.inner_text("main")
    page.get_by_role("link", name="Phase details").click()
    assert "DOWNLOAD_SOURCE" in page.inner_text("main")


def test_page_is_used_with_the_keyboard(student, visit):
    page = visit().page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Go to the content"
    page.keyboard.press("Enter")
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "query":
            break
    page.keyboard.type("user=Grace")
    page.keyboard.press("Enter")
    page.locator("#answer", has_text="Grace").wait_for()


def test_page_says_when_the_account_is_lost(student, visit):
    seen = visit()
    page = seen.page
    assert page.locator("#lost").is_hidden()
    state = student.clone / ".sandbox" / "account" / "ministack.json"
    assert Path(state).exists()
    subprocess.run(["kill", "-9", str(account_of(state))], check=True)
    page.get_by_role("alert").wait_for()
    assert "python3 -m sandbox up" in page.get_by_role("alert").inner_text()
    assert page.title().startswith("?")
    student.sandbox("up")
    page.locator("#lost").wait_for(state="hidden")
    until(page, "document.title.startsWith('✓')")
    seen.wrong.clear()  # the browser tells of each request that nobody answered


def account_of(state):
    """Return the pid of the account's process."""
    return json.loads(state.read_text())["pid"]
