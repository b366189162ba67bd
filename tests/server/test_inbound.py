"""What headers say about where a request may go."""

import pytest

from reshore.errors import LoopDetected, RequestError
from reshore.server.inbound import header_reader, read_pin


@pytest.mark.parametrize(
    ("value", "side"), [(b"local", "local"), (b" Cloud ", "cloud"), (b"", None)]
)
def test_a_pin_is_a_side_in_any_case(value: bytes, side: str | None) -> None:
    assert read_pin([(b"host", b"x"), (b"x-reshore-route", value)], "me") == side


def test_without_the_header_nothing_is_pinned() -> None:
    assert read_pin([(b"host", b"x")], "me") is None


@pytest.mark.parametrize("value", [b"both", b"\xff", b"local, cloud", b"x" * 9999])
def test_any_other_pin_is_refused_briefly(value: bytes) -> None:
    with pytest.raises(RequestError, match="must be local or cloud") as raised:
        read_pin([(b"x-reshore-route", value)], "me")
    assert len(str(raised.value)) < 120


@pytest.mark.parametrize(
    "via",
    [
        b"1.1 reshore-me",
        b"1.1 nginx, 1.1 reshore-me (comment)",
        b"HTTP/2 cache,1.0 RESHORE-ME , 1.1 other",
    ],
)
def test_our_own_name_in_via_is_a_loop(via: bytes) -> None:
    with pytest.raises(LoopDetected, match="came back"):
        read_pin([(b"via", via)], "me")


@pytest.mark.parametrize("via", [b"1.1 reshore-you", b"reshore-me", b"", b",,, ,", b"1.1 me"])
def test_others_in_via_are_no_loop(via: bytes) -> None:
    assert read_pin([(b"via", via)], "me") is None


def test_hops_are_counted_over_all_via_headers() -> None:
    hops = [(b"via", b"1.1 reshore-%d" % number) for number in range(5)]
    assert read_pin(hops, "me") is None
    with pytest.raises(LoopDetected, match="6 reshores"):
        read_pin([*hops, (b"via", b"1.1 nginx, 1.1 reshore-x")], "me")


def test_headers_are_found_in_any_case() -> None:
    find = header_reader([(b"x-team", b"red"), (b"x-team", b"blue")])
    assert find("X-Team") == "red"
    assert find("x-other") is None
    assert find("x-tëam☃") is None
