"""Names that clients send lead to installed models."""

from reshore.routing.aliases import Aliases


def test_a_name_without_an_alias_is_itself() -> None:
    assert Aliases({}).resolve("smollm2:135m") == "smollm2:135m"


def test_an_exact_name_wins_over_every_glob() -> None:
    aliases = Aliases({"gpt-4o*": "a", "gpt-4o-mini": "b"})
    assert aliases.resolve("gpt-4o-mini") == "b"
    assert aliases.resolve("gpt-4o") == "a"


def test_the_glob_with_the_longest_literal_beginning_wins_in_any_order() -> None:
    for table in (
        {"gpt-*": "wide", "gpt-4o-*": "narrow"},
        {"gpt-4o-*": "narrow", "gpt-*": "wide"},
    ):
        assert Aliases(table).resolve("gpt-4o-mini") == "narrow"
        assert Aliases(table).resolve("gpt-3.5-turbo") == "wide"


def test_fine_tuned_ids_match_their_base() -> None:
    assert Aliases({"ft:gpt-4o-mini:*": "m"}).resolve("ft:gpt-4o-mini:acme::1") == "m"


def test_matching_is_case_sensitive() -> None:
    assert Aliases({"GPT-*": "m"}).resolve("gpt-4") == "gpt-4"


def test_an_alias_never_leads_to_another_alias() -> None:
    assert Aliases({"a": "b", "b": "c"}).resolve("a") == "b"


def test_only_exact_names_are_listed() -> None:
    assert Aliases({"a": "m", "b*": "m"}).names() == (("a", "m"),)
