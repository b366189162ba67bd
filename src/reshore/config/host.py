"""Addresses to listen on, as people write them."""

from __future__ import annotations

import re

from reshore.errors import ConfigError

_DEFAULT_PORT = 11434
_AROUND = " \t\r\n\"'"  # blanks and quotes, as files of environment variables leave them


def parse_host(value: str) -> tuple[str, int]:
    """Split `host`, `host:port`, `:port`, `[v6]:port` or a URL into address and port.

    As Ollama reads `OLLAMA_HOST`: no port means 11434, or 80 and 443 behind `http://` and
    `https://`; a port out of range means 11434; no address means loopback.

    Raises:
        ConfigError: the port is not a number.
    """
    text = value.strip(_AROUND)
    scheme, separator, rest = text.partition("://")
    default = _DEFAULT_PORT
    if separator:
        default = {"http": 80, "https": 443}.get(scheme, _DEFAULT_PORT)
        text = rest
    text = text.split("/", 1)[0]
    match = re.fullmatch(r"(\[[^\]]*\]|[^:]*|[0-9A-Fa-f:]*:[0-9A-Fa-f:]*?)(?::([^:\]]*))?", text)
    if match is None or (match[2] and not match[2].isdigit()):
        raise ConfigError(f"host: {value!r} is not an address; write 127.0.0.1:11434")
    host = match[1].strip("[]") or "127.0.0.1"
    port = int(match[2]) if match[2] else default
    return host, port if 0 <= port <= 65535 else _DEFAULT_PORT
