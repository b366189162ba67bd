"""Who may talk to the server."""

import pytest

from reshore.errors import Forbidden, RequestError, Unauthorized
from reshore.server.guard import HostGuard, KeyGuard, OriginGuard, is_loopback


def host(value: str) -> list[tuple[bytes, bytes]]:
    return [(b"host", value.encode())]


def origin(value: str) -> list[tuple[bytes, bytes]]:
    return [(b"origin", value.encode())]


@pytest.mark.parametrize(
    "value",
    [
        "localhost",
        "localhost:11434",
        "127.0.0.1:11434",
        "127.3.2.1",
        "[::1]:11434",
        "app.localhost",
        "printer.local:80",
        "svc.internal",
        "192.168.1.20:11434",
        "10.0.0.1",
        "mine.example",
    ],
)
def test_names_of_this_machine_and_its_network_are_allowed(value: str) -> None:
    HostGuard(bound_to="127.0.0.1", allowed=("mine.example",)).check(host(value))


@pytest.mark.parametrize(
    "value",
    [
        "evil.example",
        "evil.example:11434",
        "localhost.evil.example",
        "8.8.8.8",
        "x/?",
        "localhost/",
        "localhost#",
        "a@localhost",
        "\\localhost",
        "[::1",
        "",
    ],
)
def test_other_names_are_refused_on_loopback(value: str) -> None:
    with pytest.raises(Forbidden):
        HostGuard(bound_to="127.0.0.1", allowed=()).check(host(value))


def test_exactly_one_host_is_needed() -> None:
    guard = HostGuard(bound_to="127.0.0.1", allowed=())
    for headers in ([], host("localhost") * 2):
        with pytest.raises(RequestError, match="exactly one"):
            guard.check(headers)


def test_an_address_that_others_reach_has_any_name() -> None:
    HostGuard(bound_to="0.0.0.0", allowed=()).check(host("gateway.example"))


@pytest.mark.parametrize(
    "value",
    [
        "http://localhost:3000",
        "https://127.0.0.1",
        "http://[::1]:5173",
        "http://app.localhost",
        "tauri://localhost",
        "vscode-webview://abc",
        "app://obsidian.md",
        "https://listed.example",
    ],
)
def test_local_and_listed_origins_are_allowed(value: str) -> None:
    guard = OriginGuard(("https://listed.example/",))
    assert guard.check(origin(value)) == value.encode()


@pytest.mark.parametrize(
    "value",
    [
        "https://evil.example",
        "null",
        "http://localhost.evil.example",
        "ftp://localhost",
        "http://[",
    ],
)
def test_other_origins_are_refused(value: str) -> None:
    with pytest.raises(Forbidden):
        OriginGuard(()).check(origin(value))


def test_no_origin_is_no_browser() -> None:
    assert OriginGuard(()).check([]) is None


def test_a_star_allows_every_origin() -> None:
    assert OriginGuard(("*",)).check(origin("https://any.example")) == b"https://any.example"


@pytest.mark.parametrize(
    "header",
    [
        (b"authorization", b"Bearer k2"),
        (b"authorization", b"bearer k2"),
        (b"x-api-key", b"k2"),
        (b"api-key", b"k2"),
    ],
)
def test_every_carrier_of_a_key_is_treated_alike(header: tuple[bytes, bytes]) -> None:
    KeyGuard("k1, k2").check([header])
    with pytest.raises(Unauthorized, match="Incorrect"):
        KeyGuard("k1").check([header])


def test_without_keys_nothing_is_asked() -> None:
    guard = KeyGuard(" , ")
    assert not guard.active
    guard.check([])


def test_a_missing_key_says_how_to_send_one() -> None:
    with pytest.raises(Unauthorized, match="Authorization: Bearer"):
        KeyGuard("k").check([])


@pytest.mark.parametrize("value", [b"' OR 1=1--", b"\xff\x00", b"k" * 100_000, b""])
def test_a_hostile_key_is_simply_wrong(value: bytes) -> None:
    with pytest.raises(Unauthorized):
        KeyGuard("k").check([(b"authorization", b"Bearer " + value)])


@pytest.mark.parametrize(
    ("address", "expected"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("a.b", False)],
)
def test_loopback_is_what_only_this_machine_reaches(address: str, expected: bool) -> None:
    assert is_loopback(address) is expected
