"""Evidence in files: whole or set aside."""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec
import pytest

from reshore.evals.live.evidence import Evidence, watching
from reshore.evals.live.keeping import Keeping, encode
from tests.evals.live.made import CLOUD, LOCAL, OTHER, attempt, paired


def evidence() -> Evidence:
    known = Evidence(route="gpt-*", local=LOCAL, cloud=CLOUD, since_s=1.0, changed_s=2.0)
    known.drift = watching(-0.05, 100)
    for number in range(30):
        known.pair(paired(conversation=str(number)))
        known.sides["cloud"].tried(attempt(CLOUD))
        known.drift.pair("tie", 3.0)
    return known


def save(folder: Path, known: Evidence) -> Path:
    keeping = Keeping(folder)
    name = keeping.name(known.route, known.local, known.cloud)
    keeping.save({name: encode(known)})
    return folder / name


def test_it_comes_back_as_it_was(tmp_path: Path) -> None:
    path = save(tmp_path / "evaluation", evidence())
    assert Keeping(path.parent).load() == [evidence()]
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


def test_each_two_models_of_a_route_have_a_file() -> None:
    name = Keeping(Path()).name
    names = {name("a", LOCAL, CLOUD), name("a", OTHER, CLOUD), name("b", LOCAL, CLOUD)}
    assert len(names) == 3
    assert name("../../etc/\0passwd\ud800", LOCAL, CLOUD).removesuffix(".json").isalnum()


def test_without_a_folder_nothing_is_known(tmp_path: Path) -> None:
    assert Keeping(tmp_path / "none").load() == []


GOOD = msgspec.json.decode(encode(evidence()))


def changed(**fields: object) -> bytes:
    return msgspec.json.encode({"format": 1, "evidence": {**GOOD["evidence"], **fields}})


DRIFT = GOOD["evidence"]["drift"]
LATENCY = {"p50": {"share": 0.5, "values": 1, "bins": {"999999999": 1}}}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        encode(evidence())[:-40],
        b"\x00" * 100,
        b'{"format":1,"evidence":[]}',
        b'{"format":2,"evidence":{}}',
        b"[" * 100_000,
        b'{"format":1,"evidence":' + b"[" * 100_000,
        changed(wins="many"),
        changed(local={"side": "elsewhere", "backend": "", "model": ""}),
        changed(drift={**DRIFT, "detector": {**DRIFT["detector"], "sums": [1.0]}}),
        changed(drift={**DRIFT, "detector": {**DRIFT["detector"], "limit": -7.0}}),
        changed(sides={"local": {"ttft": LATENCY}, "cloud": {}}),
        changed(sides={"local": {"ttft": {"p50": {"share": 0.5, "values": 9}}}, "cloud": {}}),
        changed(sides={}),
        changed(wins=-3, losses=3),
        b" " * 5_000_000 + encode(evidence()),
    ],
)
def test_what_cannot_be_read_is_told_and_set_aside(
    tmp_path: Path, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = save(tmp_path, evidence())
    other = evidence()
    other.route = "other"
    save(tmp_path, other)
    path.write_bytes(body)
    with caplog.at_level(logging.ERROR):
        assert Keeping(tmp_path).load() == [other]
    assert str(path) in caplog.text
    assert not path.exists()
    assert path.with_suffix(".damaged").read_bytes() == body


def test_who_only_looks_leaves_everything_where_it_is(tmp_path: Path) -> None:
    path = save(tmp_path, evidence())
    path.write_bytes(b"torn")
    assert Keeping(tmp_path).load(set_aside=False) == []
    assert path.read_bytes() == b"torn"


def test_what_was_being_written_when_the_power_failed_is_passed_over(tmp_path: Path) -> None:
    path = save(tmp_path, evidence())
    (tmp_path / ".reshore-tmp-1234").write_bytes(b"half")
    assert Keeping(path.parent).load() == [evidence()]
