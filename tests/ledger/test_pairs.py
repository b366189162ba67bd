"""Pairs as they come back, from both databases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reshore.config import Config
from reshore.ledger.batch import Batch
from reshore.ledger.database import Database, reading
from reshore.ledger.entry import Pairing, PairTexts
from reshore.ledger.pairs import KeptPair, PairFilter, count_pairs, kept_pairs
from reshore.ledger.prices import Prices
from reshore.ledger.queries import PAGE
from reshore.types import Target
from tests.ledger.samples import AT_S, paired

DAY_S = 86_400
SAID = PairTexts(prompt="hello", local="hi", cloud="ho", cut=True)


@pytest.fixture
def database(config: Config) -> Iterator[Database]:
    database = Database(config)
    yield database
    database.close()


def write(database: Database, *pairings: Pairing) -> None:
    batch = Batch()
    for each in pairings:
        batch.add(each, Prices({}, {}))
    database.write(batch)


def found(config: Config, **which: object) -> list[KeptPair]:
    with reading(config) as connection:
        return list(kept_pairs(connection, PairFilter(**which)))


def ids(config: Config, **which: object) -> list[str]:
    return [each.paired.request_id for each in found(config, **which)]


def test_a_pair_comes_back_as_it_was(config: Config, database: Database) -> None:
    pair = paired(verdict="loss", by="json", local_quality=0.0)
    write(database, Pairing(pair, "0a1b2c3d", SAID))
    assert found(config) == [KeptPair(paired=pair, key="0a1b2c3d", texts=SAID)]


def test_a_pair_that_is_there_already_stays_as_it_is(config: Config, database: Database) -> None:
    write(database, Pairing(paired()))
    write(database, Pairing(paired(verdict="win")), Pairing(paired("req_2")))
    assert [each.paired.verdict for each in found(config)] == ["tie", "tie"]


def test_one_request_may_be_a_pair_with_each_two_models(config: Config, database: Database) -> None:
    other = Target(side="local", backend="local", model="phi4:latest")
    write(database, Pairing(paired()), Pairing(paired(local=other)))
    assert ids(config) == ["req_1", "req_1"]


def test_pairs_are_chosen_by_route_time_source_and_whether_texts_are_there(
    config: Config, database: Database
) -> None:
    write(
        database,
        Pairing(paired("old", arrived_s=AT_S - DAY_S)),
        Pairing(paired("other", route="gpt-4o")),
        Pairing(paired("compared", source="compare")),
        Pairing(paired("said"), texts=SAID),
    )
    assert ids(config, route="gpt-*") == ["old", "compared", "said"]
    assert ids(config, since_ms=AT_S * 1000, until_ms=AT_S * 1000) == []
    assert ids(config, since_ms=AT_S * 1000) == ["other", "compared", "said"]
    assert ids(config, source="compare") == ["compared"]
    assert ids(config, with_texts=True) == ["said"]


def test_pairs_are_counted_without_being_read(config: Config, database: Database) -> None:
    write(database, Pairing(paired()), Pairing(paired("said"), texts=SAID))
    with reading(config) as connection:
        assert count_pairs(connection, PairFilter()) == 2
        assert count_pairs(connection, PairFilter(with_texts=True)) == 1
        assert count_pairs(connection, PairFilter(route="gpt-9")) == 0


def test_pairs_come_page_by_page_and_none_twice(config: Config, database: Database) -> None:
    names = [f"req_{number}" for number in range(2 * PAGE + 3)]
    write(database, *(Pairing(paired(name)) for name in names))
    assert ids(config) == names
    assert ids(config, until_ms=AT_S * 1000 + 1) == names


def test_the_texts_of_pairs_go_before_the_pairs(config: Config, database: Database) -> None:
    write(database, *(Pairing(paired(f"req_{n}"), texts=SAID) for n in range(1200)))
    times = 1
    while database.sweep(AT_S + 31 * DAY_S):
        times += 1
    assert times == 3
    assert [each.texts for each in found(config)] == [None] * 1200
    while database.sweep(AT_S + 401 * DAY_S):
        pass
    assert found(config) == []
