"""What a build's log never has: escape sequences and secrets, in whatever pieces they come."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.codebuild.log import Log, without_escapes

SECRETS = ("hunter2", "hunter2hunter3", "ab", "bab", "aa\x1b[0mé")
PARTS = st.sampled_from(
    [
        *(
            secret.encode()[start:end]
            for secret in SECRETS
            for start in (0, 1, 3)
            for end in (2, 9)
        ),
        *(b"\x1b", b"[", b"31", b";1m", b"m", b"]0;a title", b"\x07", b"\x1b\\", b"(B", b"P"),
        *(b"\xc2", b"\x9b", b"\xa0", b"\xc2\x9d", b"\xff", b"\n", b"\r\n", b" ", b"plain"),
    ]
)
PIECES = st.lists(st.lists(PARTS, max_size=6).map(b"".join), max_size=8)


def logged(path, pieces, secrets=SECRETS, **options):
    path.unlink(missing_ok=True)
    log = Log(path, **options)
    log.mask(secrets)
    for piece in pieces:
        log.output(piece)
    log.close()
    return path.read_bytes()


@settings(max_examples=500, deadline=None, database=None)
@given(PIECES)
def test_log_is_the_same_in_whatever_pieces_it_comes(tmp_path_factory, pieces):
    path = tmp_path_factory.getbasetemp() / "log"
    whole = b"".join(pieces)
    text = logged(path, [whole])
    assert logged(path, pieces) == text
    assert logged(path, [bytes([byte]) for byte in whole]) == text
    assert b"\x1b" not in text
    assert not any(0x80 <= ord(char) < 0xA0 for char in text.decode(errors="replace"))
    for secret in SECRETS:
        assert without_escapes(secret.encode())[0] not in text


@pytest.mark.parametrize(
    "printed, kept",
    [
        (b"\x1b[31mred\x1b[0m \x1b[38;2;1;2;3mmore\x1b[m", b"red more"),
        (b"\x1b[" + b"1" * 3000 + b"mlong", b"long"),
        (b"\x1b[2J\x1b[1;1H\x1b[?25lgone", b"gone"),
        (b"\x1b]0;title\x07a\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", b"alink"),
        (b"\x1b]no end\nnext", b"no end\nnext"),
        (b"\x1b[31\nnext", b"\nnext"),
        (b"\x1b(B\x1b7\x1b=\x1bcreset", b"reset"),
        ("caf\u00e9 \u00a9 \u009b31mC1 \u4f60".encode(), "caf\u00e9 \u00a9 C1 \u4f60".encode()),
        (b"\xc2\x1b[m\x9b2J", b"\xef\xbf\xbd\x9b2J"),
        (b"10%\r20%\r\n\t\x07\xff", b"10%\r20%\r\n\t\x07\xff"),
        (b"\x1b", b""),
    ],
)
def test_log_has_the_text_of_what_a_tool_prints(tmp_path, printed, kept):
    assert logged(tmp_path / "log", [printed]) == kept


def test_secret_is_masked_also_where_the_log_is_our_own(tmp_path):
    told = []
    log = Log(tmp_path / "log", tell=told.append)
    log.mask(["hunter2"])
    log.line("Running command echo hun\x1b[1mter2")
    log.mark("command", text="echo hunter2 \x1b[31m", status=3)
    log.output(b"hunt")
    assert (tmp_path / "log").read_bytes().endswith(b"echo ***\n")
    log.output(b"er, the other")
    log.close()
    assert (tmp_path / "log").read_bytes().endswith(b"echo ***\nhunter, the other")
    assert told[0] == told[0] | {"text": "echo *** ", "status": 3, "offset": 64}
    json.dumps(told)


def test_log_shows_what_no_secret_can_begin_at_once(tmp_path):
    log = Log(tmp_path / "log")
    log.mask(["a secret of many more bytes than one line of output has"])
    log.output(b"Password: ")
    assert (tmp_path / "log").read_bytes() == b"Password: "
    log.output(b"\x1b[1ma sec\x1b[0")
    assert (tmp_path / "log").read_bytes() == b"Password: "
    log.output(b"mond")
    assert (tmp_path / "log").read_bytes() == b"Password: a second"
    log.close()


@pytest.mark.parametrize("limit", [5, 6])
def test_log_that_is_full_says_so_once(tmp_path, limit):
    text = logged(tmp_path / "log", [b"\x1b[31m12", b"3456", b"789"], limit=limit).decode()
    assert text.startswith("123456"[:limit])
    assert text.splitlines()[1:] == [
        f"[sandbox] the log is full: output beyond {limit} bytes is not kept"
    ]
