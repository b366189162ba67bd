"""Sockets, locks and certificates: everything that can be taken, missing or refused at start."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import http.client
import os
import resource
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

from reshore.config import Config, parse_host
from reshore.errors import AlreadyRunning, ConfigError
from reshore.server.guard import is_loopback

ADMIN_SOCKET = "admin.sock"
_BACKLOG = 2048
# macOS takes no more where it calls the hard limit infinite (its OPEN_MAX).
_OPEN_MAX = 10_240


def raise_file_limit() -> None:
    """Let this process have as many open files as its user may.

    A connection is one, and what finds no number is accepted by the kernel and never answered. The
    soft limit is low (1024, on macOS 256) for programs that use select(); asyncio does not.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return
    for limit in (hard, max(soft, _OPEN_MAX)):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
            return


def check_exposure(config: Config) -> None:
    """Refuse an address that others can reach, unless a key protects it or the user insists.

    Raises:
        ConfigError: no API key, a certificate without its key, or one that cannot be read.
    """
    host, port = parse_host(config.host)
    if not is_loopback(host) and not config.api_key and not config.insecure:
        raise ConfigError(
            f"{host}:{port} can be reached by others, and no API key is set. "
            "Set RESHORE_API_KEY, or say --insecure if everybody may use it."
        )
    if bool(config.tls_cert) != bool(config.tls_key):
        raise ConfigError("tls_cert and tls_key go together; set both or none")
    if config.tls_cert:
        _check_certificate(config)


def _check_certificate(config: Config) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(config.tls_cert, config.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"cannot use the certificate {config.tls_cert} with the key {config.tls_key}: {error}"
        ) from error


def bind(config: Config) -> socket.socket:
    """The listening socket of the public address.

    Raises:
        ConfigError: the address is taken (by whom) or not of this machine.
    """
    host, port = parse_host(config.host)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio switches Nagle's algorithm off only for sockets that name their protocol. With it, the
    # second write of a short reply waits 40 ms for the client's delayed acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(
                f"port {port} is taken by {_holder(host, port)}. Stop it, or use another port: "
                f"reshore serve --host {host}:{port + 1}"
            ) from error
        raise ConfigError(f"cannot listen on {config.host}: {error.strerror}") from error
    listener.setblocking(False)
    return listener


def bind_admin(home: Path) -> socket.socket:
    """The listening Unix socket of the admin API, readable by this user alone.

    The caller holds the home's lock, so a socket file that is there is a dead server's.
    """
    path = home / "run" / ADMIN_SOCKET
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    previous = os.umask(0o177)  # the file is 0600 from its first moment on
    try:
        listener.bind(str(path))
    except OSError as error:
        listener.close()
        raise ConfigError(f"cannot make {path}: {error}") from error
    finally:
        os.umask(previous)
    listener.listen(_BACKLOG)
    listener.setblocking(False)
    return listener


@contextlib.contextmanager
def home_lock(home: Path) -> Iterator[None]:
    """Hold `run/lock`: one server per RESHORE_HOME. The kernel frees it when we die.

    Raises:
        AlreadyRunning: another server holds it.
        ConfigError: the home cannot be written.
    """
    path = home / "run" / "lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = path.open("a+")
    except OSError as error:
        raise ConfigError(f"cannot write to {home}: {error}; set RESHORE_HOME") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            pid = file.read().strip() or "unknown"
            raise AlreadyRunning(
                f"a server (process {pid}) already runs for {home}; stop it, or give this one a "
                "home of its own with RESHORE_HOME"
            ) from None
        # Who holds it is only told to people: a full disk is no reason not to serve.
        with contextlib.suppress(OSError):
            os.ftruncate(file.fileno(), 0)
            os.write(file.fileno(), str(os.getpid()).encode())
        yield


def _holder(host: str, port: int) -> str:
    """Who listens there, as far as it can be told: by its banner, then by its process."""
    process = _process_on(port)
    named = f" ({process})" if process else ""
    connection = http.client.HTTPConnection(host or "127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/")
        banner = connection.getresponse().read(200)
    except (OSError, http.client.HTTPException):
        return f"another program{named}"
    finally:
        connection.close()
    return ("Ollama or another reshore" if b"Ollama is running" in banner else "a server") + named


def _process_on(port: int) -> str | None:
    """Name and id of the process that listens on a port (Linux; our own processes only)."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                    inodes.add(f"socket:[{fields[9]}]")
    for process in Path("/proc").glob("[0-9]*") if inodes else ():
        with contextlib.suppress(OSError):
            if any(os.readlink(fd) in inodes for fd in (process / "fd").iterdir()):
                return f"{(process / 'comm').read_text().strip()}, process {process.name}"
    return None
