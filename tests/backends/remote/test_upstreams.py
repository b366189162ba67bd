"""The upstreams of a configuration, with their keys and authorities."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme

from reshore.backends.remote import open_upstreams
from reshore.config import Config, UpstreamConfig
from reshore.errors import ConfigError
from reshore.testing import MovableClock
from tests.backends.remote.scripted import upstream
from tests.backends.remote.test_remote import send_list


def config(home: Path, **upstreams: UpstreamConfig) -> Config:
    return Config(home=home, upstreams=upstreams)


async def test_each_is_asked_with_its_own_key_and_trusts_its_own_authority(
    tmp_path: Path, clock: MovableClock
) -> None:
    authority = trustme.CA()
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(theirs)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    (tmp_path / "b.key").write_text("sk-b\n")
    async with upstream(send_list, tls=theirs) as secure, upstream(send_list) as plain:
        settings = config(
            tmp_path,
            a=UpstreamConfig(url=secure.url, ca_file="ca.pem"),
            b=UpstreamConfig(url=plain.url, key_file="b.key"),
        )
        env = {"RESHORE_UPSTREAM_A_KEY": "sk-a1,sk-a2"}
        async with open_upstreams(settings, env=env, clock=clock, instance_id="x") as remotes:
            assert list(remotes) == ["a", "b"]
            assert [remote.key_count for remote in remotes.values()] == [2, 1]
            for remote in remotes.values():
                assert await remote.models()
    assert secure.seen[0].headers["authorization"] == "Bearer sk-a1"
    assert plain.seen[0].headers["authorization"] == "Bearer sk-b"


@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_an_authority_that_cannot_be_read_is_named(
    tmp_path: Path, clock: MovableClock, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "ca.pem").write_text(content)
    settings = config(tmp_path, a=UpstreamConfig(ca_file="ca.pem"))
    with pytest.raises(ConfigError, match=r"upstreams\.a: ca_file .*ca\.pem"):
        async with open_upstreams(settings, env={}, clock=clock, instance_id="x"):
            pass
