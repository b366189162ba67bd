"""What routing knows of this machine and its configuration."""

from __future__ import annotations

from reshore.config import Config
from reshore.engine.hardware import Hardware
from reshore.models.inventory import Inventory
from reshore.routing.patterns import Patterns
from reshore.routing.privacy import Privacy
from reshore.routing.tiers import default_models
from reshore.routing.trained import TrainedRouters
from reshore.routing.world import World


def make_world(config: Config, inventory: Inventory, hardware: Hardware) -> World:
    """The facts that `decide` goes by; its callables ask the inventory and do no I/O, but for
    `trained`.

    Raises:
        ConfigError: a privacy rule cannot be read.
    """
    own_gpus = (gpu.total_bytes for gpu in hardware.gpus if not gpu.unified)
    tiers = default_models(hardware.total_bytes, max(own_gpus, default=0))
    return World(
        upstreams=tuple(config.upstreams),
        installed=inventory.has,
        tiers=Patterns(tiers.items()),
        privacy=Privacy.from_config(config.privacy),
        lacks=inventory.lacks,
        embeds=inventory.embeds,
        trained=TrainedRouters(config.home / "routes" / "models").load,
    )
