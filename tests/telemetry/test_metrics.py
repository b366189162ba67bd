"""What is counted of requests, and that the page can be read by Prometheus' own parsers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics

from reshore import __version__
from reshore.routing.breaker import BreakerState
from reshore.routing.policy import Cloud, Route
from reshore.routing.table import Table
from reshore.telemetry.gauges import Evaluated, Gauges
from reshore.telemetry.labels import Endpoints, ModelNames
from reshore.telemetry.meter import Meter
from reshore.telemetry.metrics import METRICS
from reshore.telemetry.page import render
from reshore.telemetry.series import Reading
from reshore.types import Outcome
from scripts import metrics as table_of_metrics
from tests.telemetry.outcomes import USAGE, answered, attempt, outcome

TABLE = Table([Route(pattern="gpt-4o", policy=Cloud())])
QUIET = Gauges(in_flight=int, loaded=tuple, breakers=tuple, routing_version=int)


def meter(gauges: Gauges = QUIET) -> Meter:
    return Meter(
        endpoints=Endpoints(["/v1/chat/completions", "/metrics"]),
        backends=["local", "openai", "spare"],
        models=ModelNames(
            installed=lambda name: name.lower().startswith("llama3.2"), table=lambda: TABLE
        ),
        gauges=gauges,
    )


def recorded(*outcomes: Outcome) -> dict[str, dict[Any, Any]]:
    """What a meter reads after these, by the names of metrics; without what is empty."""
    subject = meter()
    for each in outcomes:
        subject.record(each)
    return shown(subject.read())


def shown(readings: Iterable[Reading]) -> dict[str, dict[Any, Any]]:
    return {
        reading.metric.name: dict(reading.values or reading.rows)
        for reading in readings
        if reading.values or reading.rows
    }


def test_an_answered_request_is_counted_once_everywhere() -> None:
    seen = recorded(outcome(answered()))
    assert seen["reshore_requests_total"] == {("/v1/chat/completions", "cloud", "openai", "200"): 1}
    assert seen["reshore_decisions_total"] == {("gpt-4o", "cloud"): 1}
    assert seen["reshore_attempts_total"] == {("primary", "cloud", "openai", "none"): 1}
    assert "reshore_request_errors_total" not in seen


def test_tokens_are_counted_by_kind() -> None:
    assert recorded(outcome(answered()))["reshore_tokens_total"] == {
        ("prompt", "primary", "openai", "gpt-4o"): 100,
        ("completion", "primary", "openai", "gpt-4o"): 51,
        ("cached", "primary", "openai", "gpt-4o"): 10,
        ("reasoning", "primary", "openai", "gpt-4o"): 7,
    }


@pytest.mark.parametrize(
    ("name", "labels", "seconds"),
    [
        ("reshore_request_duration_seconds", ("/v1/chat/completions", "openai", "gpt-4o"), 1.0),
        ("reshore_time_to_first_token_seconds", ("openai", "gpt-4o"), 0.25),
        ("reshore_time_per_output_token_seconds", ("openai", "gpt-4o"), 0.015),
        ("reshore_attempt_duration_seconds", ("primary", "openai", "gpt-4o"), 0.8),
    ],
)
def test_times_are_in_seconds_and_in_one_bucket(
    name: str, labels: tuple[str, ...], seconds: float
) -> None:
    row = recorded(outcome(answered()))[name][labels]
    bounds = next(metric.bounds for metric in METRICS if metric.name == name)
    assert sum(row[:-1]) == 1
    assert row[-1] == pytest.approx(seconds)
    bucket = row.index(1)
    assert seconds <= bounds[bucket] + 1e-9
    assert seconds > bounds[bucket - 1]


def test_the_time_of_local_engines_is_told_apart() -> None:
    assert recorded(outcome(answered("local", "llama3.2")))["reshore_engine_seconds_total"] == {
        ("load", "llama3.2:latest"): pytest.approx(0.05),
        ("prefill", "llama3.2:latest"): pytest.approx(0.1),
        ("decode", "llama3.2:latest"): pytest.approx(0.7),
    }


def test_the_answer_names_side_and_backend_whatever_was_tried_before() -> None:
    seen = recorded(
        outcome(
            attempt("local", "llama3.2", error="Crashed"),
            attempt(role="fallback", status=503, error="UpstreamStatus"),
            answered(backend="spare", role="fallback"),
        )
    )
    assert seen["reshore_requests_total"] == {("/v1/chat/completions", "cloud", "spare", "200"): 1}
    assert seen["reshore_decisions_total"] == {("gpt-4o", "local"): 1}
    assert seen["reshore_attempts_total"] == {
        ("primary", "local", "local", "Crashed"): 1,
        ("fallback", "cloud", "openai", "UpstreamStatus"): 1,
        ("fallback", "cloud", "spare", "none"): 1,
    }
    assert list(seen["reshore_time_to_first_token_seconds"]) == [("spare", "gpt-4o")]


def test_a_request_that_nobody_answered_names_who_was_asked_last() -> None:
    seen = recorded(outcome(attempt(error="Unreachable"), error="Unreachable"))
    assert seen["reshore_requests_total"] == {("/v1/chat/completions", "cloud", "openai", "502"): 1}
    assert seen["reshore_request_errors_total"] == {("/v1/chat/completions", "Unreachable"): 1}
    assert "reshore_request_duration_seconds" not in seen


def test_a_refused_request_asked_nobody() -> None:
    seen = recorded(outcome(status=401, error="Unauthorized"))
    assert seen["reshore_requests_total"] == {("/v1/chat/completions", "none", "none", "401"): 1}
    assert "reshore_decisions_total" not in seen


def test_an_answer_that_broke_off_is_an_error_and_has_no_duration() -> None:
    seen = recorded(outcome(answered(error="BadReply"), error="BadReply"))
    assert seen["reshore_request_errors_total"] == {("/v1/chat/completions", "BadReply"): 1}
    assert "reshore_request_duration_seconds" not in seen
    assert "reshore_time_to_first_token_seconds" not in seen
    assert "reshore_attempt_duration_seconds" not in seen


def test_a_refusal_that_is_passed_on_as_it_came_is_an_error() -> None:
    seen = recorded(outcome(answered(status=404, usage=None), status=404, usage=None))
    assert seen["reshore_requests_total"] == {("/v1/chat/completions", "cloud", "openai", "404"): 1}
    assert seen["reshore_request_errors_total"] == {("/v1/chat/completions", "UpstreamStatus"): 1}
    assert seen["reshore_attempts_total"] == {("primary", "cloud", "openai", "UpstreamStatus"): 1}
    assert "reshore_request_duration_seconds" not in seen


def test_vectors_have_no_first_token() -> None:
    usage = USAGE.__class__(prompt_tokens=5)
    seen = recorded(outcome(answered("local", "llama3.2", usage=usage), usage=usage))
    assert "reshore_request_duration_seconds" in seen
    assert "reshore_time_to_first_token_seconds" not in seen


def test_a_late_attempt_counts_among_attempts_and_not_among_requests() -> None:
    subject = meter()
    late = attempt("local", "llama3.2", role="shadow", total_ms=2000.0, usage=USAGE)
    subject.record_late("req_1", late)
    seen = shown(subject.read())
    assert seen["reshore_attempts_total"] == {("shadow", "local", "local", "none"): 1}
    assert ("prompt", "shadow", "local", "llama3.2:latest") in seen["reshore_tokens_total"]
    assert "reshore_requests_total" not in seen
    assert "reshore_time_to_first_token_seconds" not in seen


def test_what_clients_choose_makes_no_labels() -> None:
    subject = meter()
    for number in range(1000):
        subject.record(
            outcome(answered(model=f"junk-{number}"), asked_model="x", path=f"/v1/{number}")
        )
        subject.record(outcome(attempt("local", f"junk-{number}", error="UnknownModel")))
    seen = shown(subject.read())
    assert seen["reshore_requests_total"] == {
        ("other", "cloud", "openai", "200"): 1000,
        ("/v1/chat/completions", "local", "local", "502"): 1000,
    }
    for name, values in seen.items():
        assert len(values) <= 4, name


@dataclass
class Loaded:
    name: str
    memory_bytes: int
    gpu_bytes: int
    in_flight: int
    queued: int
    shared_with: str | None = None


@dataclass
class Fates:
    written: int = 90
    spilled: int = 7
    lost: int = 2


def breaker(backend: str, model: str, state: Any) -> BreakerState:
    return BreakerState(
        backend=backend, model=model, state=state, failures=3, requests=5, rest_s=0.0
    )


@dataclass
class Moving:
    """A rollout."""

    route: str
    state: str
    share: float
    pairs: int
    net_win: float | None


BUSY = Gauges(
    in_flight=lambda: 5,
    loaded=lambda: [
        Loaded("llama3.2:latest", 3000, 1000, 2, 1),
        Loaded("Llama3.2:latest", 500, 0, 1, 0),
        Loaded("llama3.2:1b", 100, 0, 0, 0),
        Loaded("llama3.2-mine:latest", 100, 0, 1, 0, shared_with="llama3.2:1b"),
    ],
    breakers=lambda: [
        breaker("openai", "gpt-4o", "open"),
        breaker("openai", "junk-1", "open"),
        breaker("openai", "junk-2", "open"),
        breaker("spare", "gpt-4o", "closed"),
    ],
    routing_version=lambda: 12,
    ledger=lambda: (3, Fates()),
    shadow_drops=lambda: [("queue", 4), ("late", 1)],
    rollouts=lambda: [
        Moving("gpt-4o-mini", "running", 25.0, 120, -0.025),
        Moving("gpt-4o", "paused", 1.0, 0, None),
    ],
    evaluation=lambda: Evaluated(
        pairs={("gpt-4o", "tie"): 7, ("gpt-4o", "loss"): 1},
        drops={"queue": 2},
        net_win={"gpt-4o": -0.125},
        drifted={"gpt-4o": True},
    ),
)


def test_the_state_of_the_server_is_asked_when_metrics_are_read() -> None:
    seen = shown(meter(BUSY).read())
    assert seen["reshore_requests_in_flight"] == {(): 5}
    assert seen["reshore_models_loaded"] == {(): 3}
    assert seen["reshore_requests_running"] == {
        ("llama3.2:latest",): 3,
        ("llama3.2:1b",): 0,
        ("llama3.2-mine:latest",): 1,
    }
    assert seen["reshore_requests_waiting"][("llama3.2:latest",)] == 1
    assert seen["reshore_model_memory_bytes"] == {
        ("llama3.2:latest",): 3500,
        ("llama3.2:1b",): 100,
        ("llama3.2-mine:latest",): 0,
    }
    assert seen["reshore_model_gpu_memory_bytes"][("llama3.2:latest",)] == 1000
    assert seen["reshore_breakers"] == {
        ("openai", "gpt-4o", "open"): 1,
        ("openai", "other", "open"): 2,
        ("spare", "gpt-4o", "closed"): 1,
    }
    assert seen["reshore_routing_version"] == {(): 12}
    assert seen["reshore_ledger_queue"] == {(): 3}
    assert seen["reshore_ledger_entries_total"] == {("written",): 90, ("spilled",): 7, ("lost",): 2}
    assert seen["reshore_shadow_drops_total"] == {("queue",): 4, ("late",): 1}
    assert seen["reshore_evaluation_pairs_total"][("gpt-4o", "tie")] == 7
    assert seen["reshore_evaluation_drops_total"] == {("queue",): 2}
    assert seen["reshore_evaluation_net_win"] == {("gpt-4o",): -0.125}
    assert seen["reshore_evaluation_drift"] == {("gpt-4o",): 1}
    assert seen["reshore_rollout_state"] == {("gpt-4o-mini", "running"): 1, ("gpt-4o", "paused"): 1}
    assert seen["reshore_rollout_share_ratio"] == {("gpt-4o-mini",): 0.25, ("gpt-4o",): 0.01}
    assert seen["reshore_rollout_pairs"] == {("gpt-4o-mini",): 120, ("gpt-4o",): 0}
    assert seen["reshore_rollout_net_win"] == {("gpt-4o-mini",): -0.025}
    assert seen["reshore_build_info"] == {(__version__,): 1}


def test_without_ledger_mirrors_and_evaluation_nothing_is_said_of_them() -> None:
    names = {reading.metric.name for reading in meter().read()}
    unasked = {"reshore_ledger_queue", "reshore_shadow_drops_total", "reshore_evaluation_drift"}
    assert not unasked & names
    with_ledger = replace(QUIET, ledger=lambda: (0, Fates()))
    assert "reshore_ledger_queue" in shown(meter(with_ledger).read())


def test_every_metric_that_is_declared_is_read_and_the_other_way_round() -> None:
    assert [reading.metric for reading in meter(BUSY).read()] == list(METRICS)


def test_names_follow_the_conventions() -> None:
    for metric in METRICS:
        assert metric.name.startswith("reshore_")
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        if metric.kind == "histogram":
            assert metric.name.endswith("_seconds")
        assert list(metric.bounds) == sorted(set(metric.bounds))
        assert bool(metric.bounds) == (metric.kind == "histogram")
        assert not metric.help.endswith(".")


# What Prometheus 3 sends.
OPENMETRICS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;q=0.4,*/*;q=0.1"
)


def busy() -> Meter:
    subject = meter(BUSY)
    subject.record(outcome(answered()))
    subject.record(outcome(answered("local", "llama3.2")))
    subject.record(outcome(attempt(error="Unreachable"), error="Unreachable"))
    return subject


def samples(families: Iterable[Any]) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


@pytest.mark.parametrize("accept", ["", "text/plain; version=0.0.4", OPENMETRICS, "a;b=,;\x00"])
def test_the_official_parsers_read_every_metric(accept: str) -> None:
    kind, body = render(busy().read(), accept)
    text = body.decode()
    if "openmetrics" in accept:
        assert kind == "application/openmetrics-text; version=1.0.0; charset=utf-8"
        families = list(openmetrics.text_string_to_metric_families(text))
    else:
        assert kind == "text/plain; version=0.0.4; charset=utf-8"
        families = list(parser.text_string_to_metric_families(text))
    kinds = {family.name: family.type for family in families}
    for metric in METRICS:
        assert kinds[metric.name.removesuffix("_total")] == metric.kind
    found = samples(families)
    chat = (("backend", "openai"), ("endpoint", "/v1/chat/completions"))
    assert found["reshore_requests_total", (*chat, ("side", "cloud"), ("status", "200"))] == 1
    assert found["reshore_routing_version", ()] == 12
    first = (("backend", "openai"), ("model", "gpt-4o"))
    name = "reshore_time_to_first_token_seconds"
    assert found[f"{name}_count", first] == 1
    assert found[f"{name}_sum", first] == 0.25
    assert found[f"{name}_bucket", (first[0], ("le", "0.1"), first[1])] == 0
    assert found[f"{name}_bucket", (first[0], ("le", "0.25"), first[1])] == 1
    assert found[f"{name}_bucket", (first[0], ("le", "+Inf"), first[1])] == 1


def test_the_process_itself_is_on_the_page() -> None:
    if not Path("/proc/stat").exists():
        pytest.skip("known on Linux alone")
    families = parser.text_string_to_metric_families(render([])[1].decode())
    assert {"process_cpu_seconds", "process_resident_memory_bytes"} <= {f.name for f in families}


@given(st.text(max_size=30))
def test_any_name_of_a_route_can_be_shown_and_read_back(route: str) -> None:
    subject = meter()
    done = outcome(answered())
    assert done.decision is not None
    decision = done.decision.__class__(side="cloud", route=route)
    subject.record(outcome(answered(), decision=decision))
    text = render(subject.read())[1].decode()
    found = samples(parser.text_string_to_metric_families(text))
    shown_as = route or "none"
    assert found["reshore_decisions_total", (("route", shown_as), ("side", "cloud"))] == 1


def test_the_documentation_shows_every_metric() -> None:
    page = table_of_metrics.PAGE.read_text(encoding="utf-8")
    assert table_of_metrics.with_table(page) == page
