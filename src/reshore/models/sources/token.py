"""Anonymous tokens, which some registries want before they give a public model."""

from __future__ import annotations

import re

import msgspec
from yarl import URL

from reshore.errors import SourceError
from reshore.models.sources.connect import Connector
from reshore.models.sources.patience import BadSource
from reshore.models.sources.reply import read_at_most

_TOKEN_LIMIT = 64 << 10
_PARAMETER = re.compile(r'([a-z]{1,32})="([^"]{0,2048})"', re.IGNORECASE)
_SENDABLE = re.compile(r"[\x21-\x7e]+")


class _Reply(msgspec.Struct):
    token: str = ""
    access_token: str = ""


async def fetch_token(connector: Connector, asked: URL, challenge: str) -> str:
    """Ask for the token that a `WWW-Authenticate: Bearer` challenge describes.

    Only the host that was asked may give it: a registry that names another one (GO-2025-3824)
    gets nothing.

    Raises:
        SourceError: the challenge is of another kind, leads elsewhere, or gives no token.
    """
    realm, query = _parse(asked, challenge)
    if (realm.scheme, realm.host, realm.port) != (asked.scheme, asked.host, asked.port):
        raise BadSource(
            f"{asked.host} wants a token from {realm.host}; tokens are only taken from itself"
        )
    async with connector.get(realm.update_query(query), {}) as response:
        if response.status != 200:
            raise SourceError(
                f"{asked.host} gives no token ({response.status}); private models cannot be pulled"
            )
        body = await read_at_most(response, _TOKEN_LIMIT, "a token")
    try:
        reply = msgspec.json.decode(body, type=_Reply)
    except (msgspec.DecodeError, RecursionError) as error:
        raise SourceError(f"{asked.host} answered with a malformed token") from error
    token = reply.token or reply.access_token
    if not _SENDABLE.fullmatch(token):
        raise SourceError(f"{asked.host} answered with a malformed token")
    return token


def _parse(asked: URL, challenge: str) -> tuple[URL, list[tuple[str, str]]]:
    kind, _, rest = challenge.partition(" ")
    found = {key.lower(): value for key, value in _PARAMETER.findall(rest)}
    if kind.lower() != "bearer" or "realm" not in found:
        raise SourceError(f"{asked.host} wants a login, which is not supported")
    try:
        realm = URL(found["realm"])
    except ValueError as error:
        raise SourceError(f"{asked.host} names a malformed token address") from error
    scopes = [("scope", scope) for scope in found.get("scope", "").split()]
    service = [("service", found["service"])] if "service" in found else []
    return realm, service + scopes
