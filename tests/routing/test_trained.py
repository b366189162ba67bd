"""Trained routers by name: their files, and routes that ask them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import structs

from reshore.errors import LearnError, RouteError
from reshore.routing.asking import Asking
from reshore.routing.decide import decide
from reshore.routing.history import History
from reshore.routing.learned import Calibration, LearnedModel, LearnedRouter, Term
from reshore.routing.parsing import parse_policy
from reshore.routing.policy import Route
from reshore.routing.sides import on_side, routers, uses
from reshore.routing.state import RoutingState
from reshore.routing.table import Table, View
from reshore.routing.trained import TrainedRouters
from reshore.routing.world import World
from reshore.testing import MovableClock
from reshore.types import Decision
from tests.routing.operated import ADA, config, route


def model(**changes: Any) -> LearnedModel:
    """Knows two words: `prove` gains, `name` does not."""
    plain: dict[str, Any] = {
        "pairs": 200,
        "bias": 0.0,
        "rare": 3.0,
        "likeness": 0.5,
        "terms": {"prove": Term(1.0, 0.4, 0.7), "name": Term(1.0, -0.4, 0.7)},
        "signs": (),
        "levels": (-0.5, 0.5),
    }
    return LearnedModel(**plain | changes)


def calibrated(threshold: float) -> LearnedModel:
    calibration = Calibration(
        target="cloud<=20%", threshold=threshold, confidence=0.95, pairs=9, cloud=0.1, quality=1.0
    )
    return model(calibration=calibration)


def decided(policy: str, text: str, known: LearnedModel | None = None) -> Decision:
    routes = [Route(pattern="*", policy=parse_policy(policy))]
    view = View(1, Table(routes), routers={"mine": LearnedRouter(known)} if known else {})
    body = {"messages": [{"role": "user", "content": text}]}
    world = World(upstreams=("openai",), installed=lambda name: True)
    return decide(Asking(name="m", load=lambda: body), view, world).decision


def opened(folder: Path, trained: TrainedRouters) -> RoutingState:
    world = World(upstreams=("openai",), trained=trained.load)
    return RoutingState(History(folder / "routes"), config(folder), world, MovableClock())


# Deciding


def test_a_hybrid_asks_the_router_it_names() -> None:
    hard = decided("hybrid(by=mine, threshold=0.6)", "prove", model())
    assert (hard.side, hard.score) == ("cloud", pytest.approx(0.9))
    assert hard.why == "score 0.90 by mine >= 0.6: wording"
    assert decided("hybrid(by=mine, threshold=0.6)", "name", model()).side == "local"


@pytest.mark.parametrize(("threshold", "side"), [(0.85, "cloud"), (0.95, "local")])
def test_without_a_threshold_it_is_the_calibrated_one(threshold: float, side: str) -> None:
    assert decided("hybrid(by=mine)", "prove", calibrated(threshold)).side == side


def test_outside_the_training_rules_decide_by_their_own_threshold() -> None:
    decision = decided("hybrid(by=mine, threshold=0)", "Guten Tag", model())
    assert decision.side == "local"
    assert "< 0.5: unlike the training, so by rules" in decision.why


def test_a_router_that_is_not_there_is_replaced_by_rules() -> None:
    decision = decided("hybrid(by=mine, threshold=0)", "prove")
    assert decision.side == "local"
    assert decision.why.startswith("no router mine, so by rules; score ")


# Policies


@pytest.mark.parametrize(
    "text", ["hybrid(by=mine)", "hybrid(local:a, cloud, by=mine-2.1, threshold=0.8)"]
)
def test_the_name_is_a_part_of_the_policy(text: str) -> None:
    assert str(parse_policy(text)) == text


def test_a_path_is_no_name() -> None:
    with pytest.raises(RouteError, match="by: expected the name of a trained router"):
        parse_policy("hybrid(by=../mine)")


def test_routers_are_found_wherever_they_stand() -> None:
    text = (
        "shadow(split(fallback(hybrid(by=a), cloud)=1, hedge(hybrid(by=b), local, after=1s)=1, "
        "cascade(local, hybrid(cloud, cloud:x, by=c), by=d, threshold=0.7)=1), cloud, share=1%)"
    )
    found = [("a", "prompt"), ("b", "prompt"), ("d", "answer"), ("c", "prompt")]
    assert list(routers(parse_policy(text))) == found
    assert [use.threshold for use in uses(parse_policy(text))] == [None, None, 0.7, None]


def test_one_side_of_a_hybrid_keeps_its_router() -> None:
    both = parse_policy("hybrid(local:a, local:b, by=mine)")
    assert on_side(both, "local") == both


# Files


def test_a_router_is_read_as_it_was_saved(tmp_path: Path) -> None:
    trained = TrainedRouters(tmp_path / "models")
    assert trained.names() == []
    trained.save("mine", model())
    assert trained.names() == ["mine"]
    assert trained.load("mine").model == structs.replace(model(), terms={})
    assert trained.load("mine") is trained.load("mine")


def test_nobody_else_may_read_the_words_in_it(tmp_path: Path) -> None:
    assert TrainedRouters(tmp_path).save("mine", model()).stat().st_mode & 0o777 == 0o600


def test_a_name_is_used_once(tmp_path: Path) -> None:
    trained = TrainedRouters(tmp_path)
    trained.save("mine", model())
    with pytest.raises(LearnError, match=r"a router 'mine' already .* choose another name"):
        trained.save("mine", model())


def test_a_name_is_no_path(tmp_path: Path) -> None:
    with pytest.raises(LearnError, match="no name for a router"):
        TrainedRouters(tmp_path).load("../current")


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    trained = TrainedRouters(tmp_path)
    trained.save("other", model())
    with pytest.raises(LearnError, match=r"no trained router 'mine' in .*; there: other"):
        trained.load("mine")
    (tmp_path / "mine.json").write_text('{"version": 2}')
    with pytest.raises(LearnError, match=r"mine\.json is damaged .*train the router again"):
        trained.load("mine")
    (tmp_path / "mine.json").write_text('{"x":' + "[" * 100_000)
    with pytest.raises(LearnError, match=r"mine\.json is damaged .*train the router again"):
        trained.load("mine")
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(LearnError, match=r"folder\.json cannot be read"):
        trained.load("folder")


@pytest.mark.parametrize(
    ("field", "number"),
    [
        ("levels", "[0.5, -0.5]"),
        ("levels", "[0.5, 0.5]"),
        ("levels", "[0, 1e300]"),
        ("bias", "1e999"),
        ("rare", "-1e200"),
        ("terms", '{"prove": [1e200, 0.4, 0.7]}'),
        ("signs", '[{"name": "length", "mean": 0, "spread": 0, "weight": 1}]'),
        ("signs", '[{"name": "length", "mean": 0, "spread": -1, "weight": 1}]'),
        ("signs", '[{"name": "length", "mean": 1e200, "spread": 1, "weight": 1}]'),
        ("reads", '"minds"'),
        ("more", "1"),
    ],
)
def test_numbers_that_would_fail_in_requests_are_a_damage(
    tmp_path: Path, field: str, number: str
) -> None:
    trained = TrainedRouters(tmp_path)
    path = trained.save("mine", model())
    fields = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in _fields(model())}
    path.write_bytes(msgspec.json.encode(fields | {field: msgspec.Raw(number.encode())}))
    with pytest.raises(LearnError, match=r"mine\.json is damaged"):
        trained.load("mine")


def _fields(one: LearnedModel) -> list[tuple[str, Any]]:
    return [(name, getattr(one, name)) for name in one.__struct_fields__]


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file")
    with pytest.raises(LearnError, match="'mine' cannot be written"):
        TrainedRouters(tmp_path / "models").save("mine", model())


def test_a_training_gets_the_next_number_of_its_name(tmp_path: Path) -> None:
    trained = TrainedRouters(tmp_path)
    assert trained.save_next("mine", model()) == "mine-1"
    for name in ("mine", "mine-9", "mine-10", "mine-x", "mine-011", "minefield-12"):
        trained.save(name, model())
    assert trained.versions("mine") == ["mine-1", "mine-9", "mine-10"]
    assert trained.save_next("mine", model()) == "mine-11"
    assert trained.save_next("new", model()) == "new-1"
    with pytest.raises(LearnError, match="no name for a router"):
        trained.next_name("../mine")


def test_a_name_is_found_by_itself_or_as_its_newest_number(tmp_path: Path) -> None:
    trained = TrainedRouters(tmp_path)
    assert trained.find("mine") == "mine"
    for _ in range(11):
        trained.save_next("mine", model())
    assert trained.find("mine") == "mine-11"
    assert trained.find("mine-2") == "mine-2"
    trained.save("mine", model())
    assert trained.find("mine") == "mine"


# Routes


def test_a_route_needs_a_router_that_is_there(tmp_path: Path) -> None:
    trained = TrainedRouters(tmp_path / "routes" / "models")
    state = opened(tmp_path, trained)
    with pytest.raises(RouteError, match="no trained router 'mine'"):
        state.set(route("gpt-4o", "hybrid(by=mine)"), ADA)
    trained.save("mine", model())
    state.set(route("gpt-4o", "hybrid(by=mine)"), ADA)
    assert state.in_force.view.routers == {"mine": trained.load("mine")}
    state.set(route("gpt-4o", "cloud"), ADA)
    assert state.in_force.view.routers == {}
    state.rollback(None, ADA)
    assert state.in_force.view.routers == {"mine": trained.load("mine")}


def test_a_router_that_reads_answers_decides_no_hybrid(tmp_path: Path) -> None:
    trained = TrainedRouters(tmp_path / "routes" / "models")
    trained.save("mine", model(reads="answer"))
    with pytest.raises(RouteError, match="'mine' reads answers; a hybrid decides before"):
        opened(tmp_path, trained).set(route("gpt-4o", "hybrid(by=mine)"), ADA)
    opened(tmp_path, trained).set(route("gpt-4o", "cascade(by=mine)"), ADA)


def test_a_router_that_reads_prompts_judges_no_answer(tmp_path: Path) -> None:
    trained = TrainedRouters(tmp_path / "routes" / "models")
    trained.save("mine", model())
    with pytest.raises(RouteError, match="'mine' reads the prompt alone; a cascade asks one"):
        opened(tmp_path, trained).set(route("gpt-4o", "cascade(by=mine)"), ADA)


def test_a_lost_file_is_no_reason_not_to_serve(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trained = TrainedRouters(tmp_path / "routes" / "models")
    path = trained.save("mine", model())
    opened(tmp_path, trained).set(route("gpt-4o", "hybrid(by=mine)"), ADA)
    path.unlink()
    again = opened(tmp_path, TrainedRouters(path.parent))
    assert again.in_force.view.routers == {}
    assert "no trained router 'mine'" in caplog.text
    assert "rules decide instead" in caplog.text
