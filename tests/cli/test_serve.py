import http.client
import json
import resource
import signal
import socket
import ssl
from contextlib import ExitStack, contextmanager

import pytest

from reshore.cli.serve import EngineKind
from reshore.config import keys
from tests.cli.conftest import execute, free_port, install, served


def _stream(port, **body):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    body = {
        "model": "tiny",
        "messages": [{"role": "user", "content": "hello"}],
        "stream": True,
        **body,
    }
    connection.request("POST", "/v1/chat/completions", json.dumps(body))
    return connection, connection.getresponse()


def _get(port, path="/health", headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path, headers=headers or {})
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status


def test_the_option_for_the_engine_has_the_values_of_the_setting():
    assert {kind.value for kind in EngineKind} == set(keys()["engine.kind"].type.type.values)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_a_running_stream_end(serve, number):
    server = serve(RESHORE_ENGINE_ECHO_TOKENS="40", RESHORE_ENGINE_ECHO_GAP_MS="20")
    connection, response = _stream(server.port)
    assert response.status == 200
    assert response.readline().startswith(b"data: ")
    server.process.send_signal(number)
    rest = response.read()
    connection.close()
    assert rest.rstrip().endswith(b"data: [DONE]")
    assert server.process.wait(60) == 0


def test_a_second_ctrl_c_cuts_the_stream_with_an_error(serve):
    server = serve(RESHORE_ENGINE_ECHO_TOKENS="100000", RESHORE_ENGINE_ECHO_GAP_MS="20")
    connection, response = _stream(server.port)
    response.readline()
    server.process.send_signal(signal.SIGINT)
    while _get(server.port, "/readyz") != 503:
        pass  # until the first signal is known to have arrived
    server.process.send_signal(signal.SIGINT)
    try:
        rest = response.read()
    except http.client.IncompleteRead as cut:
        rest = cut.partial
    connection.close()
    assert b"[DONE]" not in rest
    assert server.process.wait(60) == 0


@contextmanager
def open_files_at_most(number):
    """For processes that are started meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (number, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_more_clients_than_the_usual_limit_of_open_files_are_answered(serve):
    with open_files_at_most(200):
        server = serve()
    with ExitStack() as idle:
        for _ in range(250):
            idle.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        assert _get(server.port) == 200


def test_a_taken_port_is_one_line_with_another_port(home):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = execute(home, "serve", "--host", f"127.0.0.1:{port}")
    assert ended.code == 1
    assert ended.err.count("\n") == 1
    assert ended.err.startswith(f"error: port {port} is taken by ")
    assert f"reshore serve --host 127.0.0.1:{port + 1}" in ended.err


def test_a_second_server_for_the_same_home_names_the_first(server):
    ended = execute(server.home, "serve", "--host", f"127.0.0.1:{free_port()}")
    assert ended.code == 1
    assert ended.err.count("\n") == 1
    assert f"process {server.process.pid}" in ended.err


def test_an_open_address_without_a_key_is_refused(home):
    ended = execute(home, "serve", "--host", f"0.0.0.0:{free_port()}")
    assert ended.code == 1
    assert "--insecure" in ended.err


def test_keys_come_from_a_file(serve, tmp_path):
    (tmp_path / "keys").write_text("one\ntwo\n")
    server = serve("--api-key-file", str(tmp_path / "keys"))
    assert _get(server.port, "/v1/models") == 401
    for key in ("one", "two"):
        assert _get(server.port, "/v1/models", {"authorization": f"Bearer {key}"}) == 200


@pytest.mark.parametrize("content", ["", " \n", None])
def test_a_key_file_without_a_key_does_not_open_the_server(home, tmp_path, content):
    file = tmp_path / "keys"
    if content is not None:
        file.write_text(content)
    ended = execute(home, "serve", "--api-key-file", str(file))
    assert ended.code == 1
    assert str(file) in ended.err


def test_without_a_model_it_hints_at_pull(home):
    with served(home) as server:
        assert "reshore pull" in server.read_until("no model is installed")


def test_json_tells_programs_where_it_is(serve):
    server = serve("--json")
    started = json.loads(server.stop().out)
    assert started == {"url": server.url, "pid": server.process.pid, "home": str(server.home)}


def test_tls(serve, tmp_path):
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    own = authority.issue_cert("127.0.0.1")
    own.private_key_pem.write_to_path(str(tmp_path / "key"))
    own.cert_chain_pems[0].write_to_path(str(tmp_path / "cert"))
    server = serve("--tls-cert", str(tmp_path / "cert"), "--tls-key", str(tmp_path / "key"))
    context = ssl.create_default_context()
    authority.configure_trust(context)
    connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=context)
    connection.request("GET", "/health")
    assert connection.getresponse().status == 200
    connection.close()


def test_the_starter_prints_what_to_paste(home):
    install(home, "smollm2:135m")
    with served(home, "--starter") as server:
        assert _get(server.port) == 200
        ended = server.stop()
    assert ended.code == 0
    assert f'base_url="{server.url}/v1"' in ended.out
    assert f'baseURL: "{server.url}/v1"' in ended.out


def test_an_engine_that_there_is_not_is_usage(home):
    assert execute(home, "serve", "--engine", "vllm").code == 2


def test_lenient_and_preload_reach_the_server(serve):
    server = serve("--lenient", "--preload", "tiny", "--preload", "nonesuch")
    assert "nonesuch" in server.read_until("cannot preload")
    connection, response = _stream(server.port, stream=False, not_a_field=1)
    assert response.status == 200
    assert "not_a_field" in response.headers["x-reshore-ignored"]
    connection.close()
