"""Every metric, declared once. Pure.

Names and buckets are those of vLLM and of OpenTelemetry's conventions for generative AI where these
have one (`like`), so that people find in their dashboards what they know. Units are base units:
seconds, bytes, tokens. `docs/operations.md` shows this table; a test compares them.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Kind = Literal["counter", "gauge", "histogram"]

# The bounds that OpenTelemetry's conventions for generative AI advise (`gen_ai.server.*`), with
# more of them where a model on a CPU is slower, or one of a cloud faster, than they foresee.
_DURATION_S = tuple(round(0.01 * 2**step, 2) for step in range(17))  # 10 ms to 11 minutes
_FIRST_TOKEN_S = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
    *(20.0, 40.0, 80.0, 160.0),
)
_TOKEN_S = (
    *(0.0025, 0.005),
    *(0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5),
)


class Metric(Struct, frozen=True, kw_only=True):
    """A metric as Prometheus knows it.

    Attributes:
        help: what it counts or measures.
        labels: their names, in the order in which values are given.
        bounds: upper bounds of a histogram's buckets, ascending, without infinity.
        like: what it is called elsewhere.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    like: str = ""


REQUESTS = Metric(
    name="reshore_requests_total",
    kind="counter",
    help="Requests that ended, with refusals and hang-ups (499)",
    labels=("endpoint", "side", "backend", "status"),
    like="vllm:request_success_total",
)
REQUEST_ERRORS = Metric(
    name="reshore_request_errors_total",
    kind="counter",
    help="Requests that failed, also after their first byte, when the status was sent already",
    labels=("endpoint", "error"),
)
REQUEST_DURATION = Metric(
    name="reshore_request_duration_seconds",
    kind="histogram",
    help="From the request to the last byte of a complete answer of a model",
    labels=("endpoint", "backend", "model"),
    bounds=_DURATION_S,
    like="vllm:e2e_request_latency_seconds, gen_ai.server.request.duration",
)
FIRST_TOKEN = Metric(
    name="reshore_time_to_first_token_seconds",
    kind="histogram",
    help="From the request to the first token of a complete answer, retries and waiting included",
    labels=("backend", "model"),
    bounds=_FIRST_TOKEN_S,
    like="vllm:time_to_first_token_seconds, gen_ai.server.time_to_first_token",
)
PER_TOKEN = Metric(
    name="reshore_time_per_output_token_seconds",
    kind="histogram",
    help="Mean time between the tokens of one complete answer, after its first",
    labels=("backend", "model"),
    bounds=_TOKEN_S,
    like="vllm:request_time_per_output_token_seconds, gen_ai.server.time_per_output_token",
)
DECISIONS = Metric(
    name="reshore_decisions_total",
    kind="counter",
    help="Requests by the route that matched and the side that it chose first",
    labels=("route", "side"),
)
ATTEMPTS = Metric(
    name="reshore_attempts_total",
    kind="counter",
    help="Tries at answering, of which a request can have several",
    labels=("role", "side", "backend", "error"),
)
ATTEMPT_DURATION = Metric(
    name="reshore_attempt_duration_seconds",
    kind="histogram",
    help="From the begin of a try to the end of its complete answer",
    labels=("role", "backend", "model"),
    bounds=_DURATION_S,
    like="gen_ai.client.operation.duration",
)
TOKENS = Metric(
    name="reshore_tokens_total",
    kind="counter",
    help="Tokens of all tries; cached are part of the prompt's, reasoning of the completion's",
    labels=("kind", "role", "backend", "model"),
    like="vllm:prompt_tokens_total, vllm:generation_tokens_total, gen_ai.client.token.usage",
)
ENGINE_TIME = Metric(
    name="reshore_engine_seconds_total",
    kind="counter",
    help="Where requests to local models spent their time: load, prefill, decode",
    labels=("phase", "model"),
    like="vllm:request_prefill_time_seconds, vllm:request_decode_time_seconds",
)
IN_FLIGHT = Metric(
    name="reshore_requests_in_flight",
    kind="gauge",
    help="Requests for a model that have not ended",
)
LOADED = Metric(
    name="reshore_models_loaded",
    kind="gauge",
    help="Models in memory",
)
RUNNING = Metric(
    name="reshore_requests_running",
    kind="gauge",
    help="Requests that an engine works on",
    labels=("model",),
    like="vllm:num_requests_running",
)
WAITING = Metric(
    name="reshore_requests_waiting",
    kind="gauge",
    help="Requests that wait for an engine to be free or loaded",
    labels=("model",),
    like="vllm:num_requests_waiting",
)
MEMORY = Metric(
    name="reshore_model_memory_bytes",
    kind="gauge",
    help="What a model is expected to use, GPUs included; 0 where it shares another's engine",
    labels=("model",),
)
GPU_MEMORY = Metric(
    name="reshore_model_gpu_memory_bytes",
    kind="gauge",
    help="The part of it on GPUs",
    labels=("model",),
)
BREAKERS = Metric(
    name="reshore_breakers",
    kind="gauge",
    help="Upstream models that failed lately, by what their circuit breakers do: closed, open, "
    "half-open",
    labels=("backend", "model", "state"),
)
ROUTING_VERSION = Metric(
    name="reshore_routing_version",
    kind="gauge",
    help="Number of the routing version in force, 0 where routes were never set",
)
LEDGER_QUEUE = Metric(
    name="reshore_ledger_queue",
    kind="gauge",
    help="Entries on their way to the ledger's database",
)
LEDGER_ENTRIES = Metric(
    name="reshore_ledger_entries_total",
    kind="counter",
    help="Entries of the ledger by what became of them: written, spilled (waits in a file), lost",
    labels=("fate",),
)
SHADOW_DROPS = Metric(
    name="reshore_shadow_drops_total",
    kind="counter",
    help="Mirrored copies that were dropped",
    labels=("reason",),
)
PAIRS = Metric(
    name="reshore_evaluation_pairs_total",
    kind="counter",
    help="Requests that both sides answered, by what the local answer did: win, tie, loss, "
    "undecided",
    labels=("route", "verdict"),
)
PAIR_DROPS = Metric(
    name="reshore_evaluation_drops_total",
    kind="counter",
    help="Answered copies that were not compared",
    labels=("reason",),
)
NET_WIN = Metric(
    name="reshore_evaluation_net_win",
    kind="gauge",
    help="(wins - losses) / pairs of the local model that was compared last, -1 to 1",
    labels=("route",),
)
DRIFT = Metric(
    name="reshore_evaluation_drift",
    kind="gauge",
    help="1 where local answers have become worse since clients get them, else 0",
    labels=("route",),
)
ROLLOUT_STATE = Metric(
    name="reshore_rollout_state",
    kind="gauge",
    help="1 for the state that a route's last rollout is in: running, promoting, paused, "
    "rolled back, aborted, done",
    labels=("route", "state"),
)
ROLLOUT_SHARE = Metric(
    name="reshore_rollout_share_ratio",
    kind="gauge",
    help="Share of the route's traffic that its last rollout has on the new side, 0 to 1",
    labels=("route",),
)
ROLLOUT_PAIRS = Metric(
    name="reshore_rollout_pairs",
    kind="gauge",
    help="Decided pairs of the rollout's step",
    labels=("route",),
)
ROLLOUT_NET_WIN = Metric(
    name="reshore_rollout_net_win",
    kind="gauge",
    help="(wins - losses) / pairs of the new side in the rollout's step, -1 to 1",
    labels=("route",),
)
BUILD = Metric(
    name="reshore_build_info",
    kind="gauge",
    help="1; the label says which release runs",
    labels=("version",),
)

METRICS = (
    REQUESTS,
    REQUEST_ERRORS,
    REQUEST_DURATION,
    FIRST_TOKEN,
    PER_TOKEN,
    DECISIONS,
    ATTEMPTS,
    ATTEMPT_DURATION,
    TOKENS,
    ENGINE_TIME,
    IN_FLIGHT,
    LOADED,
    RUNNING,
    WAITING,
    MEMORY,
    GPU_MEMORY,
    BREAKERS,
    ROUTING_VERSION,
    LEDGER_QUEUE,
    LEDGER_ENTRIES,
    SHADOW_DROPS,
    PAIRS,
    PAIR_DROPS,
    NET_WIN,
    DRIFT,
    ROLLOUT_STATE,
    ROLLOUT_SHARE,
    ROLLOUT_PAIRS,
    ROLLOUT_NET_WIN,
    BUILD,
)
