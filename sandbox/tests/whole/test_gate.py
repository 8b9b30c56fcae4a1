"""The gate as a property: whatever is pushed, the answer is that of the last green commit.

A commit is green if its build is. So each buildspec here tests the very zip that it is about to
release: else a bad zip or a missing handler would be a green build of a broken commit.
"""

import json

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

CHECK = (
    "python -c \"import sys; sys.path[:] = ['hello_user.zip', *sys.path[1:]]; import hello_user; "
    "assert 'zip' in hello_user.__file__; hello_user.hello_user_handler({}, None)\""
)
RELEASE = (
    "VERSION=$(aws lambda update-function-code --function-name hello_user "
    "--zip-file fileb://hello_user.zip --publish --query Version --output text) && "
    "aws lambda update-alias --function-name hello_user "
    '--name live --function-version "$VERSION" --query FunctionVersion'
)
PHASES = ("install", "pre_build", "build", "post_build")


class Commit:
    """The files of a generated commit, as a spoiler may change them."""

    def __init__(self, word):
        self.handler = (
            "import json\n\n\ndef hello_user_handler(event, context):\n"
            f"    return {{'statusCode': 200, 'body': json.dumps({{'message': {word!r}}})}}\n"
        )
        self.test = (
            ">>> import hello_user\n"
            ">>> hello_user.hello_user_handler({}, None)['statusCode']\n200\n"
        )
        self.phases = {
            "install": ["true"],
            "pre_build": ["python -m doctest test.txt"],
            "build": ["python -m zipfile -c hello_user.zip hello_user.py"],
            "post_build": ['test "$CODEBUILD_BUILD_SUCCEEDING" = 1', CHECK, RELEASE],
        }
        self.end = ""

    def files(self):
        text = json.dumps(
            {
                "version": 0.2,
                "phases": {name: {"commands": commands} for name, commands in self.phases.items()},
            },
            indent=1,
        )
        return {
            "hello_user.py": self.handler,
            "test.txt": self.test,
            "buildspec.yml": text + self.end,
        }


def rename(commit):
    commit.handler = commit.handler.replace("hello_user_handler", "another")
    commit.test = ""


SPOILERS = {
    "failing test": lambda commit: setattr(commit, "test", ">>> 1 + 1\n3\n"),
    "import error": lambda commit: setattr(
        commit, "handler", "import no_such_module\n" + commit.handler
    ),
    "syntax error": lambda commit: setattr(commit, "handler", commit.handler + "def broken(:\n"),
    "error at the import of the zip only": lambda commit: setattr(
        commit, "handler", commit.handler + "assert not __file__.count('.zip')\n"
    ),
    "missing handler": rename,
    "bad zip": lambda commit: commit.phases["build"].append("echo no zip > hello_user.zip"),
    "zip without the handler": lambda commit: commit.phases["build"].append(
        "rm hello_user.zip && python -m zipfile -c hello_user.zip test.txt"
    ),
    "no zip": lambda commit: commit.phases["build"].append("rm hello_user.zip"),
    "no YAML": lambda commit: setattr(commit, "end", "}"),
    "unknown phase": lambda commit: commit.phases.update(prebuild=["true"]),
    "no commands in a phase": lambda commit: commit.phases["build"].append({"echo": "no text"}),
    "red after the release": lambda commit: commit.phases["post_build"].append("exit 7"),
    **{
        f"{name} fails at {place}": lambda commit, name=name, place=place: commit.phases[
            name
        ].insert(place, "exit 3")
        for name in PHASES
        for place in (0, 1)
    },
}
HARMLESS = {
    "as it is": lambda commit: None,
    "more commands": lambda commit: commit.phases["install"].append("cd . && export NEW=value"),
    "a failure that is expected": lambda commit: commit.phases["build"].append("false || true"),
}
CASES = st.tuples(
    st.sampled_from([*SPOILERS, *HARMLESS, *HARMLESS]),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20),
)


def test_answer_is_that_of_the_last_green_commit(quick, request):
    long = request.config.getoption("--long")
    quick.say("the first")
    quick.push()
    expected = "the first"
    pushed = []

    @settings(
        max_examples=200 if long else 8,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        derandomize=not long,
    )
    @given(CASES)
    def push(case):
        nonlocal expected
        kind, word = case
        commit = Commit(word)
        (SPOILERS | HARMLESS)[kind](commit)
        for name, text in commit.files().items():
            quick.write(name, text)
        commit_id = quick.commit(kind)
        quick.push()
        record = quick.builds()[-1]
        assert record["commit"] == commit_id
        assert (record["status"] == "SUCCEEDED") == (kind in HARMLESS), (kind, record)
        expected = word if kind in HARMLESS else expected
        assert quick.message() == expected, kind
        pushed.append(kind)

    push()
    assert len(pushed) >= (200 if long else 8)
    assert set(pushed) & set(HARMLESS) and set(pushed) & set(SPOILERS)
    quick.say("the last")
    quick.push()
