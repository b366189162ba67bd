import re
import socket
import threading
from contextlib import closing

import pytest

from reshore.cli.admin import AdminClient
from reshore.errors import BackendError, BadReply, Unreachable, UpstreamStatus

OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\n"


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


@pytest.mark.parametrize("last", [b'{"done": true}', b'{"status": "success"}'])
def test_lines_come_until_the_last(scripted, last):
    lines = list(scripted(_whole(b'{"a": 1}\n' + last + b"\n")).stream("/x", {}))
    assert lines[0] == {"a": 1}
    assert len(lines) == 2


def test_notices_are_there_before_the_first_line(scripted):
    head = OK + b"X-Reshore-Num-Ctx: 8192\r\nx-request-id: 7\r\ncontent-length: 15\r\n\r\n"
    notices = {}
    events = scripted(head + b'{"done": true}\n').stream("/x", {}, notices=notices)
    next(events)
    assert notices == {"num-ctx": "8192"}


def test_an_error_in_the_stream_is_raised(scripted):
    client = scripted(_whole(b'{"error": "it broke"}\n'))
    with pytest.raises(BackendError, match="it broke"):
        list(client.stream("/x", {}))


@pytest.mark.parametrize("body", [b'{"a": 1}\n', b'{"a": 1}\n{"done": true'])
def test_a_stream_without_its_end_is_an_error(scripted, body):
    with pytest.raises(Unreachable):
        list(scripted(_whole(body)).stream("/x", {}))


@pytest.mark.parametrize("rest", [b'5\r\n{"b', b"", b"zz\r\n"])
def test_a_server_that_dies_amid_the_stream_is_an_error(scripted, rest):
    client = scripted(OK + b'transfer-encoding: chunked\r\n\r\n9\r\n{"a": 1}\n\r\n' + rest)
    events = client.stream("/x", {})
    assert next(events) == {"a": 1}
    with pytest.raises(Unreachable):
        next(events)


def test_a_line_that_is_no_json_is_an_error(scripted):
    with pytest.raises(BadReply):
        list(scripted(_whole(b"{oops\n")).stream("/x", {}))


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
