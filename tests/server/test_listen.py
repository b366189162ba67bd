"""What can be taken, missing or refused at start."""

import asyncio
import os
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from reshore.config import Config
from reshore.errors import AlreadyRunning, ConfigError
from reshore.server.listen import bind, bind_admin, check_exposure, home_lock


def config(home: Path, **fields: Any) -> Config:
    return Config(home=home, **fields)


@pytest.mark.parametrize("host", ["127.0.0.1:1", "localhost:1", "[::1]:1"])
def test_loopback_needs_no_key(tmp_path: Path, host: str) -> None:
    check_exposure(config(tmp_path, host=host))


def test_an_address_for_others_needs_a_key_or_an_insecure_will(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="RESHORE_API_KEY"):
        check_exposure(config(tmp_path, host="0.0.0.0:1"))
    check_exposure(config(tmp_path, host="0.0.0.0:1", api_key="k"))
    check_exposure(config(tmp_path, host="0.0.0.0:1", insecure=True))


def test_a_certificate_needs_its_key_and_both_must_be_readable(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="go together"):
        check_exposure(config(tmp_path, tls_cert="c.pem"))
    with pytest.raises(ConfigError, match=r"c\.pem"):
        check_exposure(config(tmp_path, tls_cert="c.pem", tls_key="k.pem"))


def test_a_taken_port_says_by_whom_and_what_to_do(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        taken.settimeout(0.1)
        with pytest.raises(ConfigError) as caught:
            bind(config(tmp_path, host=f"127.0.0.1:{port}"))
    assert f"process {os.getpid()}" in str(caught.value)
    assert f"--host 127.0.0.1:{port + 1}" in str(caught.value)


async def test_replies_are_not_held_back(tmp_path: Path) -> None:
    """asyncio leaves Nagle's algorithm on for sockets that do not name their protocol."""
    accepted: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def look(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken: socket.socket = writer.get_extra_info("socket")
        accepted.set_result(taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    listener = bind(config(tmp_path, host="127.0.0.1:0"))
    async with await asyncio.start_server(look, sock=listener):
        _, writer = await asyncio.open_connection(*listener.getsockname())
        assert await accepted
        writer.close()
        await writer.wait_closed()


def test_the_admin_socket_is_for_this_user_alone_and_replaces_a_dead_one(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    for _ in range(2):
        with bind_admin(tmp_path):
            mode = (tmp_path / "run" / "admin.sock").stat().st_mode
            assert stat.S_ISSOCK(mode)
            assert stat.S_IMODE(mode) == 0o600


def test_a_home_has_one_server(tmp_path: Path) -> None:
    second = home_lock(tmp_path)
    with home_lock(tmp_path), pytest.raises(AlreadyRunning, match=str(os.getpid())):
        second.__enter__()
    with home_lock(tmp_path):
        pass


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_home_on_a_full_disk_has_its_server_too(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "lock").symlink_to("/dev/full")
    with home_lock(tmp_path):
        pass


def test_a_home_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")
    with pytest.raises(ConfigError, match="RESHORE_HOME"), home_lock(tmp_path):
        pass
