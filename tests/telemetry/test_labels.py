"""Labels are bounded: by what is known, and by number."""

from __future__ import annotations

import pytest

from reshore.routing.parsing import parse_policy
from reshore.routing.policy import Cloud, Route
from reshore.routing.table import Table
from reshore.telemetry.labels import Bounded, Endpoints, ModelNames
from reshore.telemetry.metrics import Metric
from reshore.telemetry.series import Counts, Observations


def test_values_beyond_the_most_are_other() -> None:
    bounded = Bounded(2)
    assert [bounded(value) for value in "abcab"] == ["a", "b", "other", "a", "b"]


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("/v1/models", "/v1/models"),
        ("/v1/models/a/b", "/v1/models/*"),
        ("/v1/chat/completions", "/v1/chat/completions"),
        ("/v1/responses", "/v1/*"),
        ("/api/blobs/sha256:00", "/api/blobs/*"),
        ("/", "/"),
        ("/wp-login.php", "other"),
        ("", "other"),
    ],
)
def test_paths_are_those_of_the_server(path: str, label: str) -> None:
    endpoints = Endpoints(
        [
            "/",
            "/v1/models",
            "/v1/models/{model:path}",
            "/v1/{path:path}",
            "/v1/chat/completions",
            "/api/blobs/{digest}",
            "/{path:path}",
        ]
    )
    assert endpoints(path) == label


class World:
    """What is installed and routed; may change."""

    def __init__(self) -> None:
        self.installed = {"llama3.2", "llama3.2:latest", "LLAMA3.2"}
        self.table = Table()

    def names(self, most: int = 200) -> ModelNames:
        return ModelNames(
            installed=lambda name: name in self.installed,
            table=lambda: self.table,
            upstream_models=["Qwen/Qwen2.5-7B-Instruct"],
            most=most,
        )


def test_spellings_of_a_local_model_are_one_label() -> None:
    names = World().names()
    spellings = ("llama3.2", "llama3.2:latest", "LLAMA3.2")
    assert {names("local", name) for name in spellings} == {"llama3.2:latest"}
    assert names("local", "junk") == "other"


def test_a_model_is_known_from_the_moment_on_which_it_is_installed() -> None:
    world = World()
    names = world.names()
    assert names("local", "new") == "other"
    world.installed.add("new")
    assert names("local", "new") == "new:latest"


def test_models_of_upstreams_are_those_that_routes_and_settings_name() -> None:
    world = World()
    names = world.names()
    assert names("cloud", "Qwen/Qwen2.5-7B-Instruct") == "Qwen/Qwen2.5-7B-Instruct"
    assert names("cloud", "gpt-4o") == "other"
    world.table = Table(
        [
            Route(pattern="gpt-4o", policy=Cloud()),
            Route(pattern="gpt-5*", policy=parse_policy("split(local=1, cloud:openai/o9=1)")),
            Route(pattern="mine", policy=Cloud(), cloud="openai/o8"),
        ]
    )
    known = ("gpt-4o", "o9", "mine", "o8")
    assert tuple(names("cloud", name) for name in known) == known
    assert names("cloud", "gpt-5*") == "other"
    assert names("cloud", "gpt-5-mini") == "other"
    assert names("cloud", "") == "other"


def test_there_are_no_more_models_than_the_most() -> None:
    world = World()
    world.installed = {f"m{number}" for number in range(5)}
    names = world.names(most=3)
    labels = [names("local", f"m{number}") for number in range(5)]
    assert labels == ["m0:latest", "m1:latest", "m2:latest", "other", "other"]


def test_a_counter_has_no_more_label_sets_than_the_most() -> None:
    counts = Counts(Metric(name="n_total", kind="counter", help="", labels=("a", "b")), most=2)
    for number in range(5):
        counts.add((str(number), "x"))
    counts.add(("0", "x"))
    assert counts.read().values == {("0", "x"): 2, ("1", "x"): 1, ("other", "other"): 3}


def test_a_histogram_has_no_more_label_sets_than_the_most() -> None:
    metric = Metric(name="n", kind="histogram", help="", labels=("a",), bounds=(1.0, 2.0))
    seen = Observations(metric, most=1)
    for label, value in (("a", 1.0), ("b", 1.5), ("c", 9.0)):
        seen.add((label,), value)
    assert seen.read().rows == {("a",): (1, 0, 0, 1.0), ("other",): (0, 1, 1, 10.5)}
