"""Who may talk to us at all: Host and Origin checks, CORS, API keys. Pure decisions.

A web page on any site can make a browser send requests to this machine: by a form post, or by
making its own name resolve here (DNS rebinding). Engines of this field fall for both; a request is
therefore refused unless its `Host` names this machine and its `Origin`, if there is one, is local
or listed.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import socket
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

from reshore.errors import Forbidden, RequestError, Unauthorized

Headers = Sequence[tuple[bytes, bytes]]

_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0"})
_LOCAL_SUFFIXES = (".localhost", ".local", ".internal")
# Desktop shells that load their page from disk; the same list as Ollama's.
_APP_SCHEMES = frozenset({"app", "file", "tauri", "vscode-webview", "vscode-file"})

# Reached without a key: probes, and what tells a client that a server is there.
OPEN_PATHS = frozenset(
    {
        "/",
        "/health",
        "/healthz",
        "/livez",
        "/readyz",
        "/health/liveliness",
        "/health/readiness",
        "/api/version",
    }
)

_KEY_HEADERS = (b"x-api-key", b"api-key")


def is_loopback(host: str) -> bool:
    """Whether an address to listen on can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class HostGuard:
    """Checks `Host`. Active only on a loopback address, which is what rebinding aims at."""

    def __init__(self, *, bound_to: str, allowed: Iterable[str]) -> None:
        self._active = is_loopback(bound_to)
        own = {socket.gethostname().lower(), bound_to.lower().strip("[]")}
        self._names = _LOCAL_NAMES | own | {name.lower() for name in allowed}

    def check(self, headers: Headers) -> None:
        """Raises Forbidden, or RequestError for none or several."""
        hosts = [value for name, value in headers if name == b"host"]
        if len(hosts) != 1:
            raise RequestError("exactly one Host header is needed", code="invalid_host")
        if self._active and not self._allows(hosts[0].decode("latin-1").lower()):
            raise Forbidden(
                "this Host is not allowed here; add it to `allowed_hosts` if it is yours"
            )

    def _allows(self, host: str) -> bool:
        if any(mark in host for mark in "/?#\\@ "):
            return False
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in self._names or name.endswith(_LOCAL_SUFFIXES):
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or address.is_private or address.is_link_local


class OriginGuard:
    """Checks `Origin`, and says what a browser is told about it."""

    def __init__(self, allowed: Iterable[str]) -> None:
        self._allowed = {origin.rstrip("/").lower() for origin in allowed}

    def check(self, headers: Headers) -> bytes | None:
        """The origin to allow in the reply, None when the request has none.

        Raises:
            Forbidden: the origin is neither local nor listed.
        """
        for name, value in headers:
            if name == b"origin":
                if self._allows(value.decode("latin-1")):
                    return value
                raise Forbidden("this Origin is not allowed here; add it to `origins`")
        return None

    def _allows(self, origin: str) -> bool:
        origin = origin.rstrip("/").lower()
        if "*" in self._allowed or origin in self._allowed:
            return True
        try:
            parts = urlsplit(origin)
            name = parts.hostname or ""
        except ValueError:
            return False
        if parts.scheme in _APP_SCHEMES:
            return True
        return parts.scheme in ("http", "https") and (
            name in _LOCAL_NAMES or name.endswith(".localhost")
        )


class KeyGuard:
    """Checks keys. They are kept and compared as SHA-256, in constant time.

    Args:
        keys: one by one, or comma-separated.
        setting: where they are set, for who sent a wrong one.
    """

    def __init__(self, keys: str | Iterable[str], setting: str = "RESHORE_API_KEY") -> None:
        self._setting = setting
        each = keys.split(",") if isinstance(keys, str) else keys
        self._digests = [_digest(key.strip().encode()) for key in each if key.strip()]

    @property
    def active(self) -> bool:
        return bool(self._digests)

    def check(self, headers: Headers) -> str | None:
        """The id of the key that the request carries: the first 8 hex digits of its SHA-256. None
        where no keys are configured. Every carrier is treated alike.

        Raises:
            Unauthorized: none, or one that is not ours.
        """
        if not self._digests:
            return None
        offered = _credential(headers)
        if offered is None:
            raise Unauthorized(
                "You didn't provide an API key. Send it as 'Authorization: Bearer KEY'."
            )
        digest = _digest(offered)
        matches = [hmac.compare_digest(digest, known) for known in self._digests]
        if not any(matches):
            raise Unauthorized(f"Incorrect API key provided. Check {self._setting} of the server.")
        return digest.hex()[:8]


def _credential(headers: Headers) -> bytes | None:
    for name, value in headers:
        if name == b"authorization":
            scheme, _, key = value.partition(b" ")
            return key.strip() if scheme.lower() == b"bearer" else value
        if name in _KEY_HEADERS:
            return value.strip()
    return None


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
