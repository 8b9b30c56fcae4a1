"""A build's log in its stream: each line once, in whole lines while it grows, none without end."""

import types

import pytest

from sandbox.account import logs


@pytest.fixture
def stream(tmp_path, monkeypatch):
    """A log, and a function that sends what is new in it and returns what the stream has."""
    told, streams = [], set()

    def create(**names):
        if streams:
            raise KeyError
        streams.add("stream")
        told.clear()

    fake = types.SimpleNamespace(
        exceptions=types.SimpleNamespace(ResourceAlreadyExistsException=KeyError),
        create_log_stream=create,
        put_log_events=lambda logEvents, **names: told.extend(
            event["message"] for event in logEvents
        ),
    )
    monkeypatch.setattr(logs, "client", lambda *_: fake)
    log = tmp_path / "log"
    log.touch()

    def send(is_all=False):
        logs.send(log, tmp_path / "sent", "group", "stream", {}, is_all)
        return told

    send.streams = streams
    return log, send


def test_log_that_grows_is_sent_in_whole_lines_each_once(stream):
    log, send = stream
    assert send() == []
    log.write_bytes(b"one\ntw")
    assert send() == ["one"]
    log.write_bytes(b"one\ntwo\n\nend")
    assert send() == ["one", "two", " "]
    assert send() == ["one", "two", " "]
    send.streams.clear()  # by the end of an account that was killed
    assert send(is_all=True) == ["one", "two", " ", "end"]
    assert send(is_all=True) == ["one", "two", " ", "end"]


def test_log_that_is_too_long_has_its_start_and_its_end_in_the_stream(stream, monkeypatch):
    log, send = stream
    monkeypatch.setattr(logs, "LIMIT", 40)
    log.write_bytes(b"start 345\n" * 10)
    assert send() == ["start 345"] * 2
    assert send() == ["start 345"] * 2
    log.write_bytes(log.read_bytes() + b"end 56789\n" * 2)
    assert send(is_all=True) == [
        *["start 345"] * 2,
        "[sandbox] 80 bytes are left out here",
        *["end 56789"] * 2,
    ]
