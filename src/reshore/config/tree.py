"""The whole tree. A section of it is a struct in a file of its own beside this one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from reshore.config.durations import Seconds
from reshore.config.engine import EngineConfig
from reshore.config.evaluation import EvaluationConfig
from reshore.config.ledger import LedgerConfig, PriceConfig
from reshore.config.limits import LimitsConfig
from reshore.config.metrics import MetricsConfig
from reshore.config.models import ModelConfig, model_settings
from reshore.config.pool import PoolConfig
from reshore.config.rollout import RolloutConfig
from reshore.config.routes import PrivacyConfig, RouteConfig
from reshore.config.routing import RoutingConfig
from reshore.config.shadow import ShadowConfig
from reshore.config.upstreams import UpstreamConfig


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings. `home` is where everything lives; it comes from `RESHORE_HOME` alone."""

    home: Path
    host: Annotated[str, Meta(description="address and port to listen on")] = "127.0.0.1:11434"
    api_key: Annotated[
        str, Meta(description="key that clients must send; comma-separated for several")
    ] = ""
    admin_key: Annotated[
        str,
        Meta(
            description="key of the admin API over HTTP, comma-separated for several; "
            "without one it is on run/admin.sock alone"
        ),
    ] = ""
    admin_key_file: Annotated[
        str, Meta(description="file with admin keys, one a line; relative to RESHORE_HOME")
    ] = ""
    insecure: Annotated[
        bool, Meta(description="allow an address beyond loopback without an API key")
    ] = False
    tls_cert: Annotated[str, Meta(description="certificate chain, PEM file")] = ""
    tls_key: Annotated[str, Meta(description="private key of tls_cert, PEM file")] = ""
    origins: Annotated[
        tuple[str, ...], Meta(description="web origins allowed besides those of this machine")
    ] = ()
    allowed_hosts: Annotated[
        tuple[str, ...], Meta(description="Host names allowed besides those of this machine")
    ] = ()
    lenient: Annotated[
        bool, Meta(description="accept and list fields that OpenAI does not know")
    ] = False
    image_urls: Annotated[bool, Meta(description="fetch http(s) image URLs")] = False
    drain_s: Annotated[Seconds, Meta(description="how long streams may end after SIGTERM")] = (
        Seconds(30)
    )
    read_models: Annotated[
        tuple[str, ...], Meta(description="further model stores, read-only (Ollama's, say)")
    ] = ()
    engine: EngineConfig = EngineConfig()
    pool: PoolConfig = PoolConfig()
    limits: LimitsConfig = LimitsConfig()
    routing: RoutingConfig = RoutingConfig()
    shadow: ShadowConfig = ShadowConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    rollout: RolloutConfig = RolloutConfig()
    models: dict[str, ModelConfig] = {}
    upstreams: dict[str, UpstreamConfig] = {}
    aliases: Annotated[
        dict[str, str], Meta(description="name or glob that clients send -> installed model")
    ] = {}
    routes: Annotated[
        dict[str, str | RouteConfig], Meta(description="name or glob that clients send -> policy")
    ] = {}
    privacy: PrivacyConfig = PrivacyConfig()
    ledger: LedgerConfig = LedgerConfig()
    metrics: MetricsConfig = MetricsConfig()
    prices: Annotated[
        dict[str, PriceConfig | list[PriceConfig]],
        Meta(description="model, or glob, -> what its tokens cost"),
    ] = {}

    def engine_for(self, model: str) -> EngineConfig:
        """The `[engine]` settings with `[models."model"]` over them."""
        own = msgspec.structs.asdict(self.model(model))
        changes = {
            key: own[key] for key in EngineConfig.__struct_fields__ if own.get(key) is not None
        }
        return msgspec.structs.replace(self.engine, **changes) if changes else self.engine

    def model(self, name: str) -> ModelConfig:
        """`[models."name"]`; the tag `latest` may be left out there. Nothing is set if missing."""
        return model_settings(self.models, name)
