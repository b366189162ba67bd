import json
import re

import pytest

from tests.cli.conftest import execute
from tests.cli.test_docs import _section
from tests.ledger.samples import outcome, settings
from tests.ledger.test_queries import SAMPLES, fill

SINCE = ("--since", "2025-06-01")


@pytest.fixture
def ledger(home):
    config = settings(home)
    fill(config, SAMPLES)
    return config


def test_without_a_ledger_it_says_so(cli, home):
    ended = cli("cost")
    assert ended.code == 1
    assert "no ledger" in ended.err


def test_costs_are_beside_what_the_asked_models_would_have_cost(cli, ledger):
    ended = cli("cost", *SINCE)
    title, *rows = ended.out.splitlines()
    assert title.startswith("MODEL")
    found = {row.split()[0]: row.split()[1:] for row in rows}
    assert found["gpt-4o-mini"] == ["2", "2,000", "200", "$0.000585", "$0.000390", "-$0.000195"]
    assert found["qwen2.5:7b"] == ["1", "1,000", "100", "$0.00", "$0.000195", "$0.000195"]
    assert found["my_model"] == ["1", "1,000", "100", "?", "?", "?"]
    assert found["total"] == ["5", "4,000", "400", "$0.000585", "+", "?", "$0.000585", "$0.00*"]


def test_what_is_not_known_is_said(cli, ledger):
    ended = cli("cost", *SINCE)
    assert "1 of 5 requests have an attempt whose price is unknown" in ended.err
    assert "only 3 of 5 requests can be compared" in ended.err


def test_where_all_is_known_nothing_is_left_open(cli, home):
    fill(settings(home), [outcome()])
    ended = cli("cost", *SINCE)
    assert ended.err == ""
    assert "?" not in ended.out
    assert "*" not in ended.out
    assert "total" not in ended.out


def test_days_are_in_their_order(cli, ledger):
    _, first, second, _ = cli("cost", *SINCE, "--by", "day").out.splitlines()
    assert first.startswith("2025-06-15 ")
    assert second.startswith("2025-06-16 ")


def test_a_price_of_ones_own_is_used_from_the_next_request_on(cli, home):
    fill(settings(home), [outcome()])
    before = cli("cost", *SINCE, "--json").out
    settings(home, '[upstreams.openai]\n[prices."gpt-4o-mini"]\ninput = 100\noutput = 100\n')
    assert cli("cost", *SINCE, "--json").out == before


def test_the_keys_of_the_json_are_those_of_the_page(cli, ledger):
    found = json.loads(cli("cost", *SINCE, "--json").out)
    said = set(re.findall(r"`([a-z_]+)`", _section("cost").split("`--json`")[1]))
    assert set(found) | set(found["total"]) == said
    assert all(set(line) == set(found["total"]) for line in found["lines"])
    assert found["total"]["saving_usd"] == 0
    unknown = next(line for line in found["lines"] if line["group"] == "my_model")
    assert unknown["saving_usd"] is None


def test_an_empty_period_says_so(cli, ledger):
    ended = cli("cost", "--since", "1h")
    assert ended.code == 0
    assert "no request in the ledger since 1h" in ended.err
    assert json.loads(cli("cost", "--since", "1h", "--json").out) == {"lines": [], "total": None}


def test_the_ledger_is_not_opened_for_writing(home, ledger):
    (home / "ledger.db").chmod(0o400)
    assert execute(home, "cost", *SINCE).code == 0
