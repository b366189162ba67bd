import ast
import shutil
import subprocess
import textwrap

import pytest

from reshore.cli.announce import base_url, snippets
from reshore.config import load


def _config(**env):
    return load(env={"RESHORE_HOME": "/nonexistent", **env})


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1:1234", "http://127.0.0.1:1234"),
        ("0.0.0.0:80", "http://127.0.0.1:80"),
        ("[::]:80", "http://[::1]:80"),
        ("localhost", "http://localhost:11434"),
    ],
)
def test_the_url_can_be_used_on_this_machine(host, url):
    assert base_url(_config(RESHORE_HOST=host)) == url


def test_tls_is_https():
    config = _config(RESHORE_TLS_CERT="c", RESHORE_TLS_KEY="k")
    assert base_url(config).startswith("https://")


def _python(text):
    block = text[text.index("client = OpenAI") : text.index("JavaScript")]
    return textwrap.dedent(" " * 15 + block)


def test_the_python_snippet_is_python_with_the_url():
    call = ast.parse(_python(snippets(_config(), "m"))).body[0].value
    arguments = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
    assert arguments == {"base_url": "http://127.0.0.1:11434/v1", "api_key": "unused"}


def test_a_key_is_read_from_the_environment_and_not_shown():
    text = snippets(_config(RESHORE_API_KEY="sesame"), "m")
    assert "sesame" not in text
    assert text.count("RESHORE_API_KEY") == 3


@pytest.mark.parametrize("key", ["", "sesame"])
def test_the_shell_line_is_one_command(key):
    text = snippets(_config(RESHORE_API_KEY=key), "m")
    command = text[text.index("  curl ") :].replace("curl", "printf '%s\\n'", 1)
    shell = shutil.which("sh")
    out = subprocess.run([shell, "-c", command], capture_output=True, text=True, check=True).stdout
    assert "content-type: application/json" in out
    assert ("authorization: Bearer" in out) == bool(key)
    assert max(map(len, text.splitlines())) <= 80
