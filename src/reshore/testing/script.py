"""How a scripted upstream answers: what it says, how fast, and what goes wrong. Pure.

A scenario is a file of such scripts, one after the other:

    [[step]]                # the first three requests
    times = 3
    status = 429
    retry_after_s = 2

    [[step]]                # from then on; every tenth stream breaks off
    rate = 0.1
    fault = "cut"
    fault_after = 5
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from reshore.engine.echo.script import ScriptedCall
from reshore.errors import ConfigError

Count = Annotated[int, Meta(ge=0)]
Milliseconds = Annotated[float, Meta(ge=0)]
Seconds = Annotated[float, Meta(ge=0)]
Fault = Literal[
    "", "refuse", "silent", "stall", "cut", "reset", "no-done", "error", "malformed", "garbage"
]


class Script(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How requests are answered. The default is a plain answer at once.

    Attributes:
        times: how many requests in a row; the last script of several answers all that follow.
        rate: share of them that it is for, chosen at random; the others get plain answers.

        text: to answer, a word a token; None repeats what the user said last.
        tokens: how many; the text is repeated or cut. A request's `max_tokens` cuts it, too.
        tool_calls: stand after the text, which is then empty unless given.
        finish: the finish reason to give, whatever happened.
        model: the name in the reply; None repeats the request's.
        usage: whether token counts are reported (in a stream, when they are asked for).
        prompt_tokens: None makes one of every four bytes of the request's body.
        cached_tokens, reasoning_tokens: the details of the usage.
        dimensions: of embeddings.

        headers_ms: before the status line.
        header_gap_ms: between the lines of the head, which come all at once if it is 0.
        ttft_ms: before the first event of a stream.
        gap_ms: between tokens. A whole reply comes when all its tokens would have come.
        burst: all events in one piece; they are not paced.
        forever: a stream that never ends by itself.

        fault: what goes wrong once `fault_after` tokens of a stream have been sent:
            refuse: nobody listens, and standing connections break off. It ends after `down_s`,
                with the next script, and stays so if `down_s` is 0;
            silent: the request is read and never answered;
            stall: the head and some tokens come, then nothing more;
            cut: the connection ends in the middle of an event (of a whole reply's body);
            reset: the same with a RST;
            no-done: the body ends properly, without a finish reason and without `[DONE]`;
            error: an error event, then the end (of a whole reply: an `error` under a 200);
            malformed: an event that is no JSON, then the rest (of a whole reply: half its JSON);
            garbage: what comes is no HTTP.
        down_s: how long nobody listens.
        status: of the reply; 400 and more come with an error body.
        code: in the error body; None is what OpenAI has for the status.
        body: sent as it is, instead of an answer or an error.
        content_type: of the reply.
        headers: further ones, as pairs.
        retry_after_s, retry_after_ms, should_retry: the headers `retry-after`, `retry-after-ms`
            and `x-should-retry`.
    """

    times: Annotated[int, Meta(ge=1)] = 1
    rate: Annotated[float, Meta(ge=0, le=1)] = 1.0

    text: str | None = None
    tokens: Count | None = None
    tool_calls: tuple[ScriptedCall, ...] = ()
    finish: str | None = None
    model: str | None = None
    usage: bool = True
    prompt_tokens: Count | None = None
    cached_tokens: Count = 0
    reasoning_tokens: Count = 0
    dimensions: Annotated[int, Meta(ge=1)] = 8

    headers_ms: Milliseconds = 0
    header_gap_ms: Milliseconds = 0
    ttft_ms: Milliseconds = 0
    gap_ms: Milliseconds = 0
    burst: bool = False
    forever: bool = False

    fault: Fault = ""
    fault_after: Count = 0
    down_s: Seconds = 0
    status: Annotated[int, Meta(ge=200, le=599)] = 200
    code: str | None = None
    body: str | None = None
    content_type: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    retry_after_s: Seconds | None = None
    retry_after_ms: Milliseconds | None = None
    should_retry: bool | None = None


# What can be rehearsed by one word, beside every status from 400 to 599.
FAULTS = {
    "refuse": Script(fault="refuse"),
    "silent": Script(fault="silent"),
    "stall": Script(fault="stall", fault_after=3),
    "cut": Script(fault="cut", fault_after=3),
    "reset": Script(fault="reset", fault_after=3),
    "no-done": Script(fault="no-done", fault_after=3),
    "error": Script(fault="error", fault_after=3),
    "malformed": Script(fault="malformed", fault_after=3),
    "garbage": Script(fault="garbage"),
    "slow-headers": Script(header_gap_ms=1000),
    "slow": Script(ttft_ms=5000, gap_ms=200),
    "html": Script(body="<html>Welcome to the hotel's network</html>", content_type="text/html"),
    "redirect": Script(status=307, body="", headers=(("location", "/v1/elsewhere"),)),
}


def named_fault(name: str) -> Script:
    """The script of a fault's name, or of a status ("429", "503").

    Raises:
        ConfigError: there is no such fault.
    """
    if name in FAULTS:
        return FAULTS[name]
    if name.isdecimal() and 400 <= int(name) <= 599:
        return Script(status=int(name))
    raise ConfigError(
        f"there is no fault {name!r}; there are {', '.join(FAULTS)}, and every status from 400 to "
        "599"
    )


class Scenario(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Scripts in a row. The same seed chooses the same requests for scripts with a `rate`."""

    step: tuple[Script, ...] = (Script(),)
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.step:
            raise ValueError("a scenario needs a step")


def load_scenario(path: Path) -> Scenario:
    """Read a scenario from a TOML file.

    Raises:
        ConfigError: it cannot be read, or a step is wrong; says where.
    """
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
        return msgspec.convert(tree, Scenario)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ConfigError(f"{path}: {error}") from error
