"""Addresses to listen on."""

import pytest

from reshore.config import parse_host
from reshore.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ("127.0.0.1", 11434)),
        ("1.2.3.4", ("1.2.3.4", 11434)),
        ("1.2.3.4:", ("1.2.3.4", 11434)),
        (":1234", ("127.0.0.1", 1234)),
        ("1.2.3.4:1234", ("1.2.3.4", 1234)),
        ("example.com:56789", ("example.com", 56789)),
        ("http://1.2.3.4", ("1.2.3.4", 80)),
        ("https://1.2.3.4", ("1.2.3.4", 443)),
        ("http://1.2.3.4:8080/path", ("1.2.3.4", 8080)),
        ("[::1]", ("::1", 11434)),
        ("[::1]:1337", ("::1", 1337)),
        ("::1", ("::1", 11434)),
        ("'1.2.3.4'", ("1.2.3.4", 11434)),
        ("1.2.3.4:66000", ("1.2.3.4", 11434)),
        (" 0.0.0.0:5 ", ("0.0.0.0", 5)),
        ("example.com", ("example.com", 11434)),
        ("example.com:0", ("example.com", 0)),
        (":66000", ("127.0.0.1", 11434)),
        ("[::]", ("::", 11434)),
        ('"1.2.3.4"', ("1.2.3.4", 11434)),
        ('" 1.2.3.4 "', ("1.2.3.4", 11434)),
        ("http://example.com:1234", ("example.com", 1234)),
        ("https://example.com", ("example.com", 443)),
        ("https://example.com:1234/", ("example.com", 1234)),
        ("https://example.com/ollama", ("example.com", 443)),
    ],
)
def test_addresses_are_read_as_ollama_reads_them(text: str, expected: tuple[str, int]) -> None:
    assert parse_host(text) == expected


@pytest.mark.parametrize("text", ["1.2.3.4:http", ":-1"])
def test_a_port_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not an address"):
        parse_host(text)
