"""Fixtures for every test. The slow ones share the starter models, fetched once per machine."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from reshore.models.catalog import STARTER_CHAT, STARTER_EMBEDDING
from reshore.models.pull import Wishes, pull
from reshore.models.store import Store

# How long an example takes is no property of the code: machines are shared.
settings.register_profile("reshore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("reshore")

_CACHE = Path("~/.cache/reshore-tests").expanduser()


def pytest_configure() -> None:
    """A shell without job control starts what runs beside it with Ctrl-C ignored, which children
    inherit; tests press it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def starter_home() -> Path:
    """A RESHORE_HOME with `smollm2:135m` and `all-minilm`, shared by all runs: only read it.

    Point `read_models` at its `models`, or take `own_starter_home` to write.
    """
    home = _CACHE / "home"
    with _alone(_CACHE / "lock"):
        store = Store(home / "models")
        for name in (STARTER_CHAT, STARTER_EMBEDDING):
            if store.find(name) is None:
                asyncio.run(pull(store, name, Wishes(source="index")))
    return home


@pytest.fixture
def own_starter_home(starter_home: Path, tmp_path: Path) -> Path:
    """A RESHORE_HOME of one's own with the starter models: manifests copied, blobs linked.

    Never write into a blob of it: the file behind it is shared.
    """
    home = tmp_path / "home"
    shutil.copytree(starter_home, home, copy_function=_link_or_copy)
    return home


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One test run at a time fetches the models."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _link_or_copy(source: str, target: str) -> None:
    if not Path(source).name.startswith("sha256-"):
        shutil.copy2(source, target)
        return
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
