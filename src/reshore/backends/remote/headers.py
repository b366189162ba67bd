"""Which headers go to an upstream, and which of its come back. Pure.

Both are lists of what is let through: a client's key, cookies and organisation stay here, and so do
the marks of our account there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from multidict import CIMultiDict

from reshore import __version__
from reshore.backends.answer import HeaderList
from reshore.backends.remote.keys import Key

_REQUEST = frozenset(
    {
        b"accept",
        b"content-type",
        b"openai-beta",
        b"traceparent",
        b"tracestate",
        b"via",
    }
)
# A request with a codec may be asked of two models of one upstream (fallback, hedge, shadow), which
# must not take the one's answer for the other's; what is forwarded goes to one target.
_FORWARDED = _REQUEST | {
    b"accept-language",
    b"content-length",
    b"idempotency-key",
    b"if-modified-since",
    b"if-none-match",
    b"range",
}
_REPLY = frozenset(
    {
        "openai-processing-ms",
        "openai-version",
        "retry-after",
        "retry-after-ms",
        "x-should-retry",
    }
)
_REPLY_PREFIX = "x-ratelimit-"
_READ_REPLY = _REPLY | {"content-encoding", "content-type"}
_WHOLE_REPLY = _REPLY | {
    "accept-ranges",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-length",
    "content-range",
    "content-type",
    "etag",
    "last-modified",
}


class RequestHeaders:
    """Makes the headers of requests to one upstream.

    Args:
        instance_id: of this process; `via` names it, so that a request that comes back is known.
        key_header: `authorization`, or `api-key` on Azure.
    """

    def __init__(self, instance_id: str, *, key_header: str = "authorization") -> None:
        self._via = f"1.1 reshore-{instance_id}"
        self._key_header = key_header
        self._prefix = "Bearer " if key_header == "authorization" else ""
        self._always = {
            "user-agent": f"reshore/{__version__}",
            "accept-encoding": "identity",
        }

    def make(
        self,
        given: Iterable[tuple[bytes, bytes]],
        key: Key | None,
        *,
        request_id: str = "",
        forwarded: bool = False,
    ) -> CIMultiDict[str]:
        """Headers for one request.

        Args:
            given: the client's, names in lower case.
            request_id: ours, for their logs.
            forwarded: the body goes on as it is, with its length.
        """
        wanted = _FORWARDED if forwarded else _REQUEST
        headers = CIMultiDict(self._always)
        for name, value in given:
            if name in wanted:
                headers.add(name.decode("latin-1"), value.decode("latin-1"))
        headers.add("via", self._via)
        if not forwarded:
            headers["content-type"] = "application/json"
        if request_id:
            headers["x-client-request-id"] = request_id
        if key is not None:
            headers[self._key_header] = self._prefix + key.reveal()
        return headers


def reply_headers(given: Mapping[str, str]) -> HeaderList:
    """What the client gets of the headers of a reply that is read here; its length is not."""
    return _passed(given, _READ_REPLY)


def forwarded_headers(given: Mapping[str, str]) -> HeaderList:
    """What the client gets of the headers of a reply that goes on as it is."""
    return _passed(given, _WHOLE_REPLY)


def _passed(given: Mapping[str, str], wanted: frozenset[str]) -> HeaderList:
    passed: HeaderList = []
    for name, value in given.items():
        lower = name.lower()
        if lower in wanted or lower.startswith(_REPLY_PREFIX):
            passed.append((lower.encode("latin-1"), value.encode("latin-1", "replace")))
        elif lower == "x-request-id":
            passed.append((b"x-upstream-request-id", value.encode("latin-1", "replace")))
    return passed
