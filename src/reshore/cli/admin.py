"""The running server, over its Unix socket: plain blocking HTTP, so that Ctrl-C just works.

Leaving a stream closes its connection, and the server then frees the slot at once.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from reshore.errors import BackendError, BadReply, Unreachable, UpstreamStatus

_SERVER = "reshore"

# What the server says of an answer beside the answer: what it clamped, cut or ignored.
_NOTICE = "x-reshore-"


class AdminClient:
    """Asks the server that owns a RESHORE_HOME. Keeps no connection open between questions.

    Args:
        home: the RESHORE_HOME; its server listens on `run/admin.sock`.

    Raises (all methods that ask):
        Unreachable: no server runs, or it went away before the reply was complete.
        UpstreamStatus: it refused; carries its message and status.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._socket = home / "run" / "admin.sock"

    @property
    def socket(self) -> Path:
        """Where the server listens, if there is one."""
        return self._socket

    def running(self) -> bool:
        """Whether a server listens now."""
        try:
            _connect(self._socket).close()
        except OSError:
            return False
        return True

    def get(self, path: str) -> bytes:
        """The body of a GET."""
        with self._request("GET", path) as response:
            return response.read()

    def post(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> bytes:
        """The body of the reply to a POST."""
        with self._request("POST", path, body, headers or {}) as response:
            return response.read()

    def put(self, path: str, body: Any) -> bytes:
        """The body of the reply to a PUT."""
        with self._request("PUT", path, body) as response:
            return response.read()

    def delete(self, path: str, body: Any) -> bytes:
        """The body of the reply to a DELETE."""
        with self._request("DELETE", path, body) as response:
            return response.read()

    def stop(self, model: str) -> bool:
        """Have a model unloaded; False when it was not loaded."""
        reply = msgspec.json.decode(self.post("/admin/stop", {"model": model}))
        return bool(reply["stopped"])

    def forget(self, model: str) -> None:
        """Tell that a model was removed: its engine ends, unless other models share it."""
        self.post("/admin/forget", {"model": model})

    def stream(
        self, path: str, body: Any, *, notices: dict[str, str] | None = None
    ) -> Generator[dict[str, Any]]:
        """The lines of a streamed reply; closing the iterator ends the generation.

        Args:
            notices: gets the notices of the reply's headers before the first line comes, by
                name without `x-reshore-`.

        Raises:
            BackendError: the server gave an error in the middle of the stream.
        """
        ended = False
        with self._request("POST", path, body) as response:
            if notices is not None:
                notices |= _notices(response)
            while line := response.readline():
                if not line.endswith(b"\n"):
                    break  # cut off in the middle of it
                event = _event(line)
                ended = _is_last(event)
                yield event
        if not ended:
            raise Unreachable("the server ended the answer too early; try again", backend=_SERVER)

    @contextlib.contextmanager
    def _request(
        self, method: str, path: str, body: Any = None, more: Mapping[str, str] | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        connection = _UnixConnection(self._socket)
        encoded = None if body is None else msgspec.json.encode(body)
        headers = {"connection": "close"} | dict(more or {})
        if encoded is not None:
            headers["content-type"] = "application/json"
        with contextlib.closing(connection), self._translated():
            connection.request(method, path, body=encoded, headers=headers)
            response = connection.getresponse()
            with contextlib.closing(response):
                if response.status >= 400:
                    raise _refusal(response.status, response.read())
                yield response

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise Unreachable(
                f"no server runs for {self._home}; start one with `reshore serve`",
                backend=_SERVER,
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(
                "the server went away before it had answered; see its log, and try again",
                backend=_SERVER,
            ) from error


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = _connect(self._path)


def _connect(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(str(path))
    except BaseException:
        connection.close()
        raise
    return connection


def _notices(response: http.client.HTTPResponse) -> dict[str, str]:
    headers = ((name.lower(), value) for name, value in response.getheaders())
    return {
        name.removeprefix(_NOTICE): value for name, value in headers if name.startswith(_NOTICE)
    }


def _is_last(event: dict[str, Any]) -> bool:
    """The end of a generation, or of work on a model; without one a stream was cut."""
    return event.get("done") is True or event.get("status") == "success"


def _event(line: bytes) -> dict[str, Any]:
    try:
        event = msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise BadReply(f"the server sent a line that is no JSON: {error}", backend=_SERVER) from (
            error
        )
    if event.get("error"):
        raise BackendError(_message(event, "the answer failed"), backend=_SERVER)
    return event


def _refusal(status: int, body: bytes) -> UpstreamStatus:
    try:
        reply = msgspec.json.decode(body)
    except msgspec.DecodeError:
        reply = None
    message = _message(reply, f"the server answered with status {status}")
    return UpstreamStatus(message, backend=_SERVER, status=status)


def _message(reply: Any, otherwise: str) -> str:
    error = reply.get("error") if isinstance(reply, dict) else None
    if isinstance(error, dict):
        error = error.get("message")
    return error if isinstance(error, str) and error else otherwise
