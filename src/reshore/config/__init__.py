"""One tree of settings with one loader.

`load()` reads, each layer over the one before: the defaults written here, `reshore.toml` in
`RESHORE_HOME`, environment variables, flags. Every key has one environment variable,
`RESHORE_` + section + key in capitals (`RESHORE_ENGINE_THREADS`); top-level keys have no section
(`RESHORE_HOST`). People who come from Ollama keep their `OLLAMA_*` names where a counterpart
exists; a `RESHORE_*` name beside it wins. An unknown key is an error that names the nearest one.

A section is a frozen struct in a file of its own; to add one, write it and name it in `tree.py`.
Keys, variables, lists and tables with names of people's choice (`[models."name"]`) follow from
the types. `reshore.example.toml` and `docs/configuration.md` show every key; a test compares them
with this.
"""

from reshore.config.durations import Seconds, parse_duration
from reshore.config.engine import EchoConfig, EngineConfig
from reshore.config.evaluation import EvaluationConfig
from reshore.config.host import parse_host
from reshore.config.keys import OLLAMA_NAMES, is_table, keys, variable
from reshore.config.ledger import LedgerConfig, PriceConfig, without_password
from reshore.config.limits import LimitsConfig
from reshore.config.load import Layers, find_home, load, read_layers
from reshore.config.metrics import MetricsConfig
from reshore.config.models import ModelConfig, model_settings
from reshore.config.pool import PoolConfig
from reshore.config.rollout import RolloutConfig
from reshore.config.routes import PrivacyConfig, RouteConfig
from reshore.config.routing import RoutingConfig
from reshore.config.shadow import ShadowConfig
from reshore.config.tree import Config
from reshore.config.upstreams import (
    Timeouts,
    UpstreamConfig,
    UpstreamKind,
    key_variable,
    read_keys,
)

__all__ = [
    "OLLAMA_NAMES",
    "Config",
    "EchoConfig",
    "EngineConfig",
    "EvaluationConfig",
    "Layers",
    "LedgerConfig",
    "LimitsConfig",
    "MetricsConfig",
    "ModelConfig",
    "PoolConfig",
    "PriceConfig",
    "PrivacyConfig",
    "RolloutConfig",
    "RouteConfig",
    "RoutingConfig",
    "Seconds",
    "ShadowConfig",
    "Timeouts",
    "UpstreamConfig",
    "UpstreamKind",
    "find_home",
    "is_table",
    "key_variable",
    "keys",
    "load",
    "model_settings",
    "parse_duration",
    "parse_host",
    "read_keys",
    "read_layers",
    "variable",
    "without_password",
]
