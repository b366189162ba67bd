"""What clients asked, where it is stored."""

from __future__ import annotations

from reshore.config import Config
from reshore.ledger.database import Database, reading
from reshore.ledger.entry import Ended, Texts
from reshore.ledger.queries import Filter
from reshore.ledger.samples import Sample, samples
from reshore.types import Decision
from tests.ledger.samples import AT_S, outcome
from tests.ledger.test_database import write


def texts(request_id: str, prompt: str = '{"messages": []}') -> Texts:
    return Texts(request_id=request_id, prompt=prompt, answer="yes", wall_s=AT_S)


def found(config: Config, **which: object) -> list[Sample]:
    with reading(config) as connection:
        return list(samples(connection, Filter(**which)))


def test_requests_whose_texts_are_stored_are_given_with_what_is_known_of_them(
    config: Config,
) -> None:
    private = Decision(side="local", route="secret-*", private=True)
    database = Database(config)
    write(
        database,
        Ended(outcome("req_1")),
        texts("req_1"),
        Ended(outcome("without")),
        Ended(outcome("refused", status=400)),
        texts("refused"),
        Ended(outcome("req_2", decision=private, asked_model="secret-1")),
        texts("req_2", "hidden"),
    )
    database.close()
    assert found(config) == [
        Sample(
            request_id="req_1",
            path="/v1/chat/completions",
            asked="gpt-4o-mini",
            route="gpt-*",
            key="0a1b2c3d",
            private=False,
            prompt='{"messages": []}',
            answer="yes",
            cut=False,
        ),
        Sample(
            request_id="req_2",
            path="/v1/chat/completions",
            asked="secret-1",
            route="secret-*",
            key="0a1b2c3d",
            private=True,
            prompt="hidden",
            answer="yes",
            cut=False,
        ),
    ]
    assert [each.request_id for each in found(config, route="secret-*")] == ["req_2"]
    assert found(config, since_ms=round(AT_S * 1000) + 1) == []


def test_there_may_be_any_number_of_them(config: Config) -> None:
    database = Database(config)
    names = [f"req_{n:04}" for n in range(450)]
    write(database, *(each for name in names for each in (Ended(outcome(name)), texts(name))))
    database.close()
    assert [each.request_id for each in found(config)] == names
