"""`[rollout]`: who is told of rollouts, beside the log.

The secret that signs what is told is no setting, as keys of upstreams are none: it comes from a
file of its own or from an environment variable.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from reshore.config.durations import Seconds
from reshore.config.key_file import checked_keys, read_key_file
from reshore.errors import ConfigError

SECRET_VARIABLE = "RESHORE_ROLLOUT_WEBHOOK_SECRET"


class RolloutConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where events of rollouts go."""

    webhook: Annotated[
        str, Meta(description="address that gets each event of a rollout as signed JSON")
    ] = ""
    webhook_secret_file: Annotated[
        str,
        Meta(
            description="file with the secret that signs them, one line; relative to RESHORE_HOME "
            f"(or set {SECRET_VARIABLE})"
        ),
    ] = ""
    webhook_timeout_s: Annotated[Seconds, Meta(description="of one try to deliver an event")] = (
        Seconds(10)
    )

    def __post_init__(self) -> None:
        if self.webhook_timeout_s <= 0:
            raise ValueError("webhook_timeout_s must be above 0")
        if not self.webhook:
            return
        parts = urlsplit(self.webhook)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("webhook must be an address as 'https://hooks.example.com/reshore'")
        if parts.username or parts.password or parts.fragment:
            raise ValueError(
                "webhook must hold no name, password or fragment; events are signed by a secret "
                "in webhook_secret_file"
            )


def read_webhook_secret(
    config: RolloutConfig, *, home: Path, env: Mapping[str, str]
) -> bytes | None:
    """The secret that signs events, of its variable or else of its file; None without a webhook.

    Raises:
        ConfigError: there is a webhook and no secret, or more than one, or it cannot be read. The
            message never shows it.
    """
    if not config.webhook:
        return None
    if env.get(SECRET_VARIABLE):
        found = checked_keys([env[SECRET_VARIABLE]], SECRET_VARIABLE)
    elif config.webhook_secret_file:
        path = home / Path(config.webhook_secret_file).expanduser()
        found = read_key_file(path, "rollout.webhook_secret_file")
    else:
        found = ()
    if len(found) != 1:
        raise ConfigError(
            f"rollout.webhook needs one secret that signs its events, and {len(found)} were given: "
            f"write it into a file and name that in rollout.webhook_secret_file, or set "
            f"{SECRET_VARIABLE}"
        )
    return found[0].encode()
