"""The smoke test of buildspec.yml: a function that cannot answer is stopped before it is live."""

import io
import re
import subprocess
import sys
import zipfile

import pytest

from sandbox.builds.hints import explain
from sandbox.codebuild.runner import MEND
from sandbox.laptop.paths import ROOT

HANDLER = (ROOT / "hello_user.py").read_text(encoding="utf-8")
SPEC = (ROOT / "buildspec.yml").read_text(encoding="utf-8").partition("\nreports:")[0]
# No test looks at the function, so what stops a commit is what comes after the tests.
UNTESTED = re.sub(r"(?m)^      - (pip install|pytest).*\n", "", SPEC).replace(
    "  pre_build:\n    commands:\n", ""
)


@pytest.fixture(scope="module")
def someone(shared_quick):
    """A student whose builds test nothing and release as buildspec.yml does."""
    shared_quick.revive()
    shared_quick.be_thorough(UNTESTED)
    return shared_quick


def answers(expression):
    return HANDLER[: HANDLER.index("    return {")] + f"    return {expression}\n"


# What a commit holds, what is said of it, and a part of the hint.
FAULTS = {
    "missing package": (
        {"hello_user.py": f"import no_such_package\n{HANDLER}"},
        "the function said Runtime.ImportModuleError: Unable to import module 'hello_user': "
        "No module named 'no_such_package'",
        "for a package, read `A package in the zip`",
    ),
    "wrong handler name": (
        {"hello_user.py": HANDLER.replace("hello_user_handler", "handler")},
        "the function said Runtime.HandlerNotFound: Handler 'hello_user_handler' missing on "
        "module 'hello_user'",
        "`Handler:` in template.yml",
    ),
    "renamed file": (
        {"hello_user.py": None, "hello.py": HANDLER},
        "An error occurred (InvalidParameterValueException) when calling the UpdateFunctionCode "
        "operation: Uploaded file must be a non-empty zip",  # zipfile passes over a missing file
        "a file that the command for the zip names is not there",
    ),
    "renamed file that is packed": (
        {
            "hello_user.py": None,
            "hello.py": HANDLER,
            "buildspec.yml": UNTESTED.replace("hello_user.py", "hello.py"),
        },
        "the function said Runtime.ImportModuleError: Unable to import module 'hello_user': "
        "No module named 'hello_user'",
        "the zip holds no hello_user.py",
    ),
    "syntax error outside the tests": (
        {"hello_user.py": f"{HANDLER}def broken(:\n"},
        "the function said Runtime.UserCodeSyntaxError: Syntax error in module 'hello_user': "
        "invalid syntax (hello_user.py, line 13)",
        "mend the line",
    ),
    "file not packed": (
        {"hello_user.py": f"import greetings\n{HANDLER}", "greetings.py": "HELLO = 'Hello'\n"},
        "the function said Runtime.ImportModuleError: Unable to import module 'hello_user': "
        "No module named 'greetings'",
        "write greetings.py behind hello_user.py",
    ),
    "exception at import": (
        {"hello_user.py": f"{HANDLER}\n\nWORDS = {{}}['hello']\n"},
        "the function said KeyError: 'hello'",
        "mend it",
    ),
    "exception in the handler": (
        {"hello_user.py": answers("event['no such key']")},
        "the function said KeyError: 'no such key'",
        "mend it",
    ),
    "no status": (
        {"hello_user.py": answers("{'message': message}")},
        'the function answered {"message": "hello user"}',
        "`statusCode`",
    ),
    "nothing": (
        {"hello_user.py": answers("None")},
        "the function answered null",
        "`statusCode`",
    ),
    "another status": (
        {"hello_user.py": answers("{'statusCode': 500, 'body': 'no'}")},
        'the function answered {"statusCode": 500, "body": "no"}',
        "`statusCode`",
    ),
    "a body that is no text": (
        {"hello_user.py": answers("{'statusCode': 200, 'body': {'message': message}}")},
        "body is a dict, not text: the function answered ",
        "json.dumps",
    ),
    "no body": (
        {"hello_user.py": answers("{'statusCode': 200}")},
        "there is no body: the function answered ",
        "json.dumps",
    ),
    "no JSON": (
        {"hello_user.py": answers("{'statusCode': 200, 'body': {1, 2}}")},
        "the function said Runtime.MarshalError: Unable to marshal response: ",
        "mend it",
    ),
    "hang at import": (
        {"hello_user.py": f"{HANDLER}\n\nwhile True:\n    pass\n"},
        "the function said Sandbox.Timedout: ",
        "`Timeout:`",
    ),
    "exit at import": (
        {"hello_user.py": f"import sys\n\n{HANDLER}\n\nsys.exit(3)\n"},
        "the function said Runtime.ExitError: ",
        "must not end Python",
    ),
}


# One that cannot be packed, one that ends with an error, one whose answer is no good.
PUSHED = ("renamed file", "file not packed", "another status")
[JUDGE] = re.findall(r"(?m)^      - (cat answer\.json .*)$", SPEC)


@pytest.mark.parametrize("name", PUSHED)
def test_function_that_cannot_answer_is_stopped_before_it_is_live(someone, name):
    files, said, hint = FAULTS[name]
    before, message = someone.live(), someone.message()
    for name, text in files.items():
        if text is None:
            (someone.clone / name).unlink()
        else:
            someone.write(name, text)
    someone.commit("Break it")
    lines = someone.push()
    someone.git("revert", "--no-edit", "HEAD")  # the next push takes it along
    error, quoted, hinted, _, last = lines[-5:]  # before the last: where to look
    assert error.startswith("[sandbox] error: Error while executing command: ")
    assert quoted.startswith(f"[sandbox] said: {said}")
    assert hinted.startswith("[sandbox] hint: ") and hint in hinted
    assert last.endswith(
        f"FAILED in POST_BUILD: nothing was released, version {before} is still live"
    )
    assert "Running command aws lambda update-alias" not in someone.log()
    assert (someone.live(), someone.message()) == (before, message)


@pytest.mark.parametrize("name", [name for name in FAULTS if name not in PUSHED])
def test_answer_is_judged_by_the_smoke_test_and_explained(someone, tmp_path, name):
    """The function's own answer, the command that judges it, and the words: without a push."""
    files, said, hint = FAULTS[name]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path, text in files.items():
            if text is not None and path.endswith(".py"):
                (tmp_path / path).write_text(text)
                archive.write(tmp_path / path, path)
    functions = someone.client("lambda")
    new = functions.update_function_code(
        FunctionName="hello_user", ZipFile=packed.getvalue(), Publish=True
    )
    functions.get_waiter("function_updated_v2").wait(FunctionName="hello_user")
    answer = functions.invoke(
        FunctionName="hello_user",
        Qualifier=new["Version"],
        Payload=(ROOT / "event.json").read_bytes(),
    )
    (tmp_path / "answer.json").write_bytes(answer["Payload"].read())
    done = subprocess.run(
        ["bash", "-c", f'python() {{ "{sys.executable}" "$@"; }}; {JUDGE}'],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 1
    found = explain(done.stdout, JUDGE, done.returncode, [])
    assert found.said.startswith(said) and hint in (found.hint or MEND)


def blocks_of_the_exercise():
    """Return the line for requirements.txt and the commands that the exercise shows."""
    text = (ROOT / "sandbox" / "README.md").read_text(encoding="utf-8")
    part = text.split("\n## A package in the zip\n")[1].split("\n## ")[0]
    [line] = re.findall(r"`(humanize==[\d.]+)`", part)
    [commands] = re.findall(r"```yaml\n(.*?)```", part, re.DOTALL)
    assert line in commands
    return line, commands


@pytest.mark.long
def test_package_needs_both_halves_as_the_readme_says(someone):
    """The exercise of sandbox/README.md: each half alone is red, with a hint on the other."""
    pin, commands = blocks_of_the_exercise()
    before, names = someone.live(), ("hello_user.py", "requirements.txt", "buildspec.yml")
    kept = {name: (ROOT / name).read_text() for name in names}
    for name, text in kept.items():
        someone.write(name, text)
    someone.commit("As it came")
    someone.write("hello_user.py", f"import humanize\n{kept['hello_user.py']}")
    someone.commit("Import a package")
    said, hint, _, last = someone.push()[-4:]
    assert said == "[sandbox] said: ModuleNotFoundError: No module named 'humanize'"
    assert "requirements.txt" in hint and "in the zip" in hint and "FAILED in BUILD" in last
    someone.write("requirements.txt", f"{kept['requirements.txt']}{pin}\n")
    someone.commit("The build's half")
    said, hint, _, last = someone.push()[-4:]
    assert said.endswith("Unable to import module 'hello_user': No module named 'humanize'")
    assert "A package in the zip" in hint and "FAILED in POST_BUILD" in last
    assert someone.live() == before
    one = "      - python -m zipfile -c hello_user.zip hello_user.py\n"
    assert one in kept["buildspec.yml"]
    someone.write("buildspec.yml", kept["buildspec.yml"].replace(one, commands))
    someone.commit("The function's half")
    assert " SUCCEEDED: version " in someone.push()[-1]
    assert someone.live() != before
    assert someone.message("?user=Ada") == "Hello Ada!"
    [undo] = re.findall(r"`(git revert .*~3\.\.)`", (ROOT / "sandbox" / "README.md").read_text())
    someone.type("sh", "-c", undo)
    assert kept == {name: (someone.clone / name).read_text() for name in names}


# Each is a whole handler as its own documentation starts one, packed by the exercise.
FRAMEWORKS = {
    "Powertools": (
        "aws-lambda-powertools==3.37.0",
        """\
from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
from aws_lambda_powertools.logging import correlation_paths

logger = Logger(service="hello")
app = APIGatewayHttpResolver(strip_prefixes=["/default"])


@app.get("/hello_user")
def hello():
    logger.info("asked")
    return {"message": f"Hello {app.current_event.query_string_parameters.get('user', 'you')}!"}


@logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_HTTP)
def hello_user_handler(event, context):
    return app.resolve(event, context)
""",
    ),
    "Mangum": (
        "mangum==0.22.0 starlette==1.10.0",
        """\
from mangum import Mangum
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route


async def hello(request):
    return JSONResponse({"message": f"Hello {request.query_params.get('user', 'you')}!"})


app = Starlette(routes=[Route("/hello_user", hello)])
hello_user_handler = Mangum(app, lifespan="off", api_gateway_base_path="/default")
""",
    ),
}


@pytest.mark.long
@pytest.mark.parametrize("name", FRAMEWORKS)
def test_handler_of_a_framework_runs(someone, name):
    """The event of the smoke test is one that it can read, and its answer is the endpoint's."""
    packages, handler = FRAMEWORKS[name]
    pin, commands = blocks_of_the_exercise()
    one = "      - python -m zipfile -c hello_user.zip hello_user.py\n"
    assert one in UNTESTED
    someone.write("hello_user.py", handler)
    someone.write("buildspec.yml", UNTESTED.replace(one, commands.replace(pin, packages)))
    someone.commit(f"Answer with {name}")
    lines = someone.push()
    someone.git("revert", "--no-edit", "HEAD")  # the next push takes it along
    assert " SUCCEEDED: version " in lines[-1], someone.log()
    assert someone.message("?user=Ada") == "Hello Ada!"
