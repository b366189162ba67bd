import re
import socket
import threading
from contextlib import closing

import pytest

from reshore.cli.admin import AdminClient
from reshore.errors import BackendError, BadReply, Unreachable, UpstreamStatus

OK = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"


@pytest.fixture
def scripted(tmp_path):
    """A server that answers one request with given bytes and hangs up."""
    (tmp_path / "run").mkdir()
    threads = []

    def start(reply):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(tmp_path / "run" / "admin.sock"))
        listener.listen()

        def answer():
            with closing(listener):
                connection, _ = listener.accept()
                with connection:
                    _read_request(connection)
                    connection.sendall(reply)

        threads.append(threading.Thread(target=answer))
        threads[-1].start()
        return AdminClient(tmp_path)

    yield start
    for thread in threads:
        thread.join()


def _read_request(connection):
    """All of it: hanging up on unread bytes would reset the connection."""
    with connection.makefile("rb") as file:
        headers = b"".join(iter(file.readline, b"\r\n"))
        length = re.search(rb"(?i)content-length: (\d+)", headers)
        file.read(int(length[1]) if length else 0)


def _whole(body):
    return OK + b"content-length: %d\r\n\r\n" % len(body) + body


def test_no_server_is_told_with_the_command_that_starts_one(tmp_path):
    client = AdminClient(tmp_path)
    assert not client.running()
    with pytest.raises(Unreachable, match="reshore serve"):
        client.get("/x")


def test_events_come_until_done(scripted):
    client = scripted(_whole(b'data: {"a": 1}\n\ndata: {"a": 2}\n\ndata: [DONE]\n\n'))
    assert list(client.stream("/x", {})) == [{"a": 1}, {"a": 2}]


def test_an_error_in_the_stream_is_raised(scripted):
    client = scripted(_whole(b'data: {"error": {"message": "it broke"}}\n\n'))
    with pytest.raises(BackendError, match="it broke"):
        list(client.stream("/x", {}))


def test_a_stream_without_its_end_is_an_error(scripted):
    client = scripted(_whole(b'data: {"a": 1}\n\n'))
    with pytest.raises(Unreachable):
        list(client.stream("/x", {}))


def test_a_server_that_dies_amid_the_stream_is_an_error(scripted):
    client = scripted(OK + b'transfer-encoding: chunked\r\n\r\n10\r\ndata: {"a": 1}\n\n\r\n5\r\nda')
    events = client.stream("/x", {})
    assert next(events) == {"a": 1}
    with pytest.raises(Unreachable):
        next(events)


def test_an_event_that_is_no_json_is_an_error(scripted):
    with pytest.raises(BadReply):
        list(scripted(_whole(b"data: {oops\n\n")).stream("/x", {}))


def test_a_refusal_carries_message_and_status(scripted):
    body = b'{"error": {"message": "no such model"}}'
    client = scripted(b"HTTP/1.1 404 X\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    with pytest.raises(UpstreamStatus, match="no such model") as caught:
        client.get("/x")
    assert caught.value.status == 404


def test_a_refusal_without_words_has_its_status(scripted):
    with pytest.raises(UpstreamStatus, match="502"):
        scripted(b"HTTP/1.1 502 X\r\ncontent-length: 4\r\n\r\n<h1>").get("/x")


def test_a_server_that_hangs_up_is_unreachable(scripted):
    with pytest.raises(Unreachable, match="went away"):
        scripted(b"").get("/x")
