import contextlib
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import RESHORE, environment, execute, install

# A question that has the scripted engine answer what it was asked for.
REFLECT = '/echo {"reflect": true}'

# Makes the terminal on its standard input its own, so that Ctrl-C is a signal, and runs the rest.
LOGIN = "import os, sys; os.login_tty(0); os.execv(sys.argv[1], sys.argv[1:])"


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, home, *arguments, **settings):
        self._terminal, inside = pty.openpty()
        self.seen = b""
        self.process = subprocess.Popen(
            [sys.executable, "-c", LOGIN, *RESHORE, *arguments],
            env={**environment(home, **settings), "TERM": "dumb"},
            stdin=inside,
            stdout=inside,
            stderr=inside,
        )
        os.close(inside)

    def type(self, keys):
        os.write(self._terminal, keys)

    def interrupt(self, text, tries=10):
        """Press Ctrl-C until `text` comes.

        CPython's `input` can miss a signal between showing its prompt and waiting for a key; then
        the next one counts.
        """
        for _ in range(tries):
            self.type(b"\x03")
            with contextlib.suppress(TimeoutError):
                return self.expect(text, timeout_s=6.0)
        raise AssertionError(f"{text!r} did not come after {tries} times Ctrl-C")

    def expect(self, text, timeout_s=60.0):
        """Read on until `text` comes; what stood before it."""
        deadline = time.monotonic() + timeout_s
        while text not in self.seen:
            left_s = max(0.0, deadline - time.monotonic())
            ready, _, _ = select.select([self._terminal], [], [], left_s)
            if not ready:
                raise TimeoutError(f"{text!r} did not come; seen: {self.seen!r}")
            try:
                data = os.read(self._terminal, 65536)
            except OSError:  # Linux: the other side is closed
                data = b""
            assert data, f"{text!r} did not come before the end; seen: {self.seen!r}"
            self.seen += data
        before, _, self.seen = self.seen.partition(text)
        return before

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self._terminal)


@pytest.fixture
def terminal():
    with contextlib.ExitStack() as stack:

        def start(*arguments, **settings):
            terminal = Terminal(*arguments, **settings)
            stack.callback(terminal.close)
            return terminal

        yield start


@pytest.fixture
def alone(home):
    """A home with a model and without a server."""
    install(home)
    return home


def test_the_running_server_answers(server):
    ended = execute(server.home, "run", "tiny", "good", "morning")
    assert ended.code == 0
    assert ended.out.startswith("good morning good")
    assert ended.out.endswith("\n")
    assert ended.err == ""


def test_without_a_server_the_command_answers_itself(alone):
    ended = execute(alone, "run", "tiny", "hello")
    assert ended.code == 0
    assert ended.out.startswith("hello hello")
    assert ended.err == ""
    assert execute(alone, "ps").code == 1


def test_what_is_piped_in_is_the_question(server):
    ended = execute(server.home, "run", "tiny", stdin="piped\n")
    assert ended.out.startswith("piped")


def test_what_is_piped_in_stands_before_the_question(server):
    ended = execute(server.home, "run", "tiny", "second", stdin="first\n")
    assert ended.out.startswith("first second")


def _sent(server, *arguments):
    """What the engine is asked for by a question that has it answer just that."""
    return json.loads(execute(server.home, "run", "tiny", *arguments, REFLECT).out)


def test_a_format_is_json_or_a_schema_in_a_file(server, tmp_path):
    schema = {"type": "object", "properties": {"planet": {"type": "string"}}}
    file = tmp_path / "schema.json"
    file.write_text(json.dumps(schema))
    assert "planet" in _sent(server, "--format", str(file))["grammar"]
    assert "planet" not in _sent(server, "--format", "json")["grammar"]
    assert "grammar" not in _sent(server)


@pytest.mark.parametrize(
    "wrong", [("--format", "nowhere.json"), ("--think=hard",), ("--keepalive", "soon")]
)
def test_an_option_that_is_not_understood_is_one_line(server, wrong):
    ended = execute(server.home, "run", "tiny", *wrong, "hello")
    assert ended.code == 2
    assert ended.out == ""
    assert ended.err.count("\n") == 1
    assert wrong[-1].removeprefix("--think=") in ended.err


def test_keepalive_is_how_long_the_model_stays(server):
    execute(server.home, "run", "tiny", "--keepalive", "-1", "hello")
    [model] = json.loads(execute(server.home, "ps", "--json").out)
    assert model["expires_at"] is None
    execute(server.home, "run", "tiny", "--keepalive", "5m", "hello")
    [model] = json.loads(execute(server.home, "ps", "--json").out)
    assert model["expires_at"] is not None


@pytest.mark.parametrize("think", ["--think", "--think=high"])
def test_a_model_that_does_not_think_is_not_asked_to(server, think):
    ended = execute(server.home, "run", "tiny", think, "hello")
    assert ended.code == 1
    assert "does not support thinking" in ended.err


def test_what_an_answer_took_is_told_beside_it(server):
    ended = execute(server.home, "run", "tiny", "--verbose", "hello")
    assert ended.out.startswith("hello hello")
    assert "answer  16 tokens in " in ended.err


def test_json_is_the_whole_answer(server):
    answer = json.loads(execute(server.home, "run", "tiny", "hello", "--json").out)
    assert set(answer) == {"model", "content", "finish_reason", "usage"}
    assert answer["model"] == "tiny"
    assert answer["content"].startswith("hello")
    assert answer["finish_reason"] == "stop"
    assert answer["usage"]["completion_tokens"] == 16


@pytest.mark.parametrize("arguments", [("tiny",), ("tiny", "--json")])
def test_no_question_and_nobody_to_ask_is_usage(server, arguments):
    ended = execute(server.home, "run", *arguments)
    assert ended.code == 2
    assert ended.err.count("\n") == 1


def test_a_missing_model_is_not_found_by_the_server(server):
    ended = execute(server.home, "run", "nonesuch", "hello")
    assert ended.code == 3
    assert "nonesuch" in ended.err
    assert ended.err.count("\n") == 1


def test_what_cannot_be_a_name_is_usage(server):
    ended = execute(server.home, "run", "../x", "hello")
    assert ended.code == 2
    assert "'../x' is no model name" in ended.err


def test_an_alias_may_be_what_no_model_is_called(home):
    install(home)
    (home / "reshore.toml").write_text('[aliases]\n"my/own/little/model" = "tiny"\n')
    assert execute(home, "run", "my/own/little/model", "hello").code == 0


def test_a_missing_model_starts_no_server(home):
    ended = execute(home, "run", "nonesuch", "hello")
    assert ended.code == 3
    assert "reshore pull nonesuch" in ended.err
    assert not (home / "run").exists()


def test_an_engine_that_does_not_start_is_one_line(alone):
    ended = execute(alone, "run", "tiny", "hello", RESHORE_ENGINE_ECHO_FAULT="start")
    assert ended.code == 1
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1


def test_an_engine_that_dies_amid_the_answer_is_an_error_after_the_text(alone):
    ended = execute(alone, "run", "tiny", "hello", RESHORE_ENGINE_ECHO_FAULT="exit")
    assert ended.code == 1
    assert ended.out.startswith("hello")
    assert "error: " in ended.err


def test_ctrl_c_ends_the_command_and_the_generation(serve):
    server = serve(RESHORE_ENGINE_ECHO_TOKENS="100000", RESHORE_ENGINE_ECHO_GAP_MS="20")
    with subprocess.Popen(
        [*RESHORE, "run", "tiny", "hello"],
        env=environment(server.home),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout.read(1) == b"h"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in err
    assert '"error":"ClientGone"' in server.read_until("/api/chat")


def test_a_conversation(server, terminal):
    chat = terminal(server.home, "run", "tiny")
    chat.expect(b">>> ")
    chat.type(b"one\n")
    chat.expect(b"one one one")
    chat.expect(b">>> ")
    chat.type(b"two\n")
    chat.expect(b"two two two")
    chat.expect(b">>> ")
    chat.type(b"\x04")
    assert chat.process.wait(60) == 0


def test_a_conversation_has_commands_and_messages_of_several_lines(serve, terminal):
    server = serve()
    chat = terminal(server.home, "run", "tiny")

    def type_line(line, expected):
        chat.expect(b">>> ")
        chat.type(line + b"\n")
        return chat.expect(expected)

    type_line(b"/?", b"/set parameter")
    type_line(b"/set parameter num_predict 3", b"num_predict is 3")
    type_line(b'"""one', b"... ")
    chat.type(b'two"""\n')
    chat.expect(b"one two one\r\n")
    type_line(b"/set system Be kind.", b"system prompt is set")
    type_line(b"/set verbose", b"shown")
    type_line(b"hello", b"answer  3 tokens in ")
    type_line(b"/set nosuchthing", b"error: ")
    type_line(b"/show info", b"llama")
    type_line(b"/save mine", b"mine is installed")
    type_line(b"/load mine", b"mine answers")
    type_line(b"/show system", b"Be kind.")
    type_line(b"/show parameters", b"num_predict")
    type_line(b"/bye", b"/bye")
    assert chat.process.wait(60) == 0
    history = server.home / "history"
    assert history.stat().st_mode & 0o777 == 0o600
    assert "/set system Be kind." in history.read_text().splitlines()


def test_a_conversation_with_nobody_is_not_begun(server, terminal):
    chat = terminal(server.home, "run", "nobody")
    chat.expect(b"reshore pull nobody")
    assert chat.process.wait(60) == 3


def test_a_conversation_without_a_server(alone, terminal):
    chat = terminal(alone, "run", "tiny")
    chat.expect(b">>> ")
    chat.type(b"one\n")
    chat.expect(b"one one one")
    chat.expect(b">>> ")
    assert json.loads(execute(alone, "ps", "--json").out)[0]["name"] == "tiny:latest"
    chat.type(b"/bye\n")
    assert chat.process.wait(60) == 0
    assert execute(alone, "ps").code == 1


def test_ctrl_c_stops_the_answer_and_not_the_conversation(alone, terminal):
    chat = terminal(
        alone,
        "run",
        "tiny",
        RESHORE_ENGINE_ECHO_TOKENS="100000",
        RESHORE_ENGINE_ECHO_GAP_MS="20",
    )
    chat.expect(b">>> ")
    chat.type(b"one\n")
    chat.expect(b"one one one")
    chat.type(b"\x03")
    chat.expect(b">>> ")
    chat.interrupt(b"/bye leaves.")
    chat.expect(b">>> ")
    chat.type(b"two\n")
    chat.expect(b"two two two")
    chat.type(b"\x03")
    chat.expect(b">>> ")
    chat.type(b"\x04")
    assert chat.process.wait(60) == 0


def test_a_failed_answer_does_not_end_the_conversation(alone, terminal):
    chat = terminal(alone, "run", "tiny", RESHORE_ENGINE_ECHO_FAULT="exit")
    chat.expect(b">>> ")
    chat.type(b"one\n")
    chat.expect(b"error: ")
    chat.expect(b">>> ")
    chat.type(b"\x04")
    assert chat.process.wait(60) == 0


def test_no_port_is_opened_without_a_server(alone, terminal):
    chat = terminal(alone, "run", "tiny")
    chat.expect(b">>> ")
    listening = Path(f"/proc/{chat.process.pid}/net/tcp")
    if not listening.exists():
        pytest.skip("needs /proc")
    inodes = {
        os.readlink(entry)
        for entry in Path(f"/proc/{chat.process.pid}/fd").iterdir()
        if os.readlink(entry).startswith("socket:")
    }
    listeners = {
        f"socket:[{fields[9]}]"
        for fields in map(str.split, listening.read_text().splitlines()[1:])
        if fields[3] == "0A"
    }
    assert not inodes & listeners
