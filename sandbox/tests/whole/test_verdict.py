"""The last lines: of a push, green or red, and of `up`."""

import json
import re

NO_COMMAND = "version: 0.2\nphases:\n  build:\n    comands:\n      - pytest\n"


def test_command_of_several_lines_takes_one_of_the_last(quick):
    quick.say("several lines", 'echo one\necho "it is $((1 + 1))" >&2\nexit 3')
    assert quick.push()[-5:-3] == [
        "[sandbox] error: Error while executing command: echo one …. Reason: exit status 3",
        "[sandbox] said: it is 2",
    ]


def test_warnings_are_said_again_at_the_end_of_a_green_push(quick):
    quick.say("with a slip")
    quick.edit("buildspec.yml", "phases:\n", "phases:\n  install:\n    command: echo x\n")
    quick.commit("A slip")
    warning, _, url, green = quick.push()[-4:]
    assert "did you mean `commands:`?" in warning and "line 7" in warning
    assert " SUCCEEDED: version " in green and re.fullmatch(
        r"\[sandbox\] the endpoint: http://.*/hello_user", url
    )
    quick.say("without a slip")
    assert "did you mean" not in "\n".join(quick.push())


def test_build_without_a_command_says_so_as_its_verdict(quick):
    before, old = quick.live(), quick.message()
    quick.write("buildspec.yml", NO_COMMAND)
    quick.commit("A slip that leaves nothing")
    _, warning, _, _, last = quick.push()[-5:]
    assert "did you mean `commands:`?" in warning
    assert re.fullmatch(
        r"\[sandbox\] BUILD \d+ SUCCEEDED: no command ran, so nothing was tested and nothing "
        rf"released, version {before} is still live \(commit \w+\) in [\d.]+ s",
        last,
    )
    assert quick.message() == old


def lines_of_up(someone, code=0):
    said = someone.sandbox("up", code=code).stderr.splitlines()
    return [line.removeprefix("[sandbox] ") for line in said if "[Container]" not in line]


def test_up_behind_the_fork_says_how_to_go_on(quick):
    """Whether what is advised works: see fork/test_repository.py."""
    first = quick.say("first of two")
    quick.say("second of two")
    quick.push()
    quick.git("reset", "-q", "--hard", first)
    [line] = [line for line in lines_of_up(quick) if "behind the fork's main" in line]
    assert line.startswith(f"Your HEAD is at {first[:7]}, ")
    quick.git("pull", "-q", "--ff-only", "sandbox", "main")
    assert not [line for line in lines_of_up(quick) if "Your HEAD" in line]


def test_change_of_the_template_moves_nothing_and_comes_with_the_next_build(quick):
    """Nor does a change of the alias itself; `up` says which settings the next build publishes."""
    version = quick.release("with settings")
    text = (quick.clone / "template.yml").read_text()

    def memory(**qualifier):
        function = {"FunctionName": "hello_user", **qualifier}
        return quick.client("lambda").get_function_configuration(**function)["MemorySize"]

    before = memory(Qualifier="live")
    said = f"The next build publishes MemorySize 512 (version {version}, which is live, has "
    try:
        properties = "    Properties:\n      FunctionName: hello_user\n"
        changed = text.replace(f"      MemorySize: {before}\n", "")
        assert properties in changed
        changed = changed.replace(properties, f"{properties}      MemorySize: 512\n")
        alias = "      Name: live\n"
        quick.write("template.yml", changed.replace(alias, f"{alias}      Description: moved\n"))
        assert [line for line in lines_of_up(quick) if line.startswith(f"{said}{before}): `")]
        assert (memory(), memory(Qualifier="live"), quick.live()) == (512, before, version)
        assert quick.message() == "with settings"
        quick.sandbox("build")
        assert memory(Qualifier="live") == 512
        assert not [line for line in lines_of_up(quick) if "The next build publishes" in line]
    finally:
        quick.write("template.yml", text)
        quick.up()  # the next build publishes as it was


def test_failed_deploy_gives_its_own_reasons_only(quick):
    text = (quick.clone / "template.yml").read_text()
    try:
        quick.edit("template.yml", "ProtocolType: HTTP", "ProtocolType: !Ref NoSuchThing")
        first = lines_of_up(quick, code=2)
        quick.write("template.yml", text)
        quick.edit("template.yml", "AWS::Lambda::Permission", "AWS::Lambda::NoSuchType")
        second = lines_of_up(quick, code=2)
    finally:
        quick.write("template.yml", text)
        quick.up()
    reasons = [
        lines[lines.index("error: template.yml could not be deployed:") + 1 : -1]
        for lines in (first, second)
    ]
    assert len(reasons[0]) > 2  # the command's own two lines, and why
    assert "NoSuchType" in json.dumps(reasons[1])
    assert not set(reasons[0]) & set(reasons[1])
