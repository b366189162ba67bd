"""Which of a client's headers an upstream gets."""

from __future__ import annotations

import pytest

from reshore.backends.remote.headers import RequestHeaders

CLIENTS = [
    (b"authorization", b"Bearer sk-client"),
    (b"cookie", b"session=1"),
    (b"openai-organization", b"org-client"),
    (b"x-reshore-route", b"cloud"),
    (b"traceparent", b"00-1-2-03"),
    (b"idempotency-key", b"once"),
]


def test_a_clients_key_cookies_and_organisation_stay_here() -> None:
    sent = RequestHeaders("abc").make(CLIENTS, None)
    assert sent["traceparent"] == "00-1-2-03"
    assert sent["via"] == "1.1 reshore-abc"
    assert not {"authorization", "cookie", "openai-organization", "x-reshore-route"} & set(sent)


@pytest.mark.parametrize("forwarded", [False, True])
def test_an_idempotency_key_goes_only_where_one_model_is_asked(forwarded: bool) -> None:
    sent = RequestHeaders("abc").make(CLIENTS, None, forwarded=forwarded)
    assert ("idempotency-key" in sent) is forwarded
