"""What never leaves this machine, by name, key or text."""

import json

import pytest

from reshore.config import PrivacyConfig
from reshore.errors import ConfigError
from reshore.routing.asking import Asking
from reshore.routing.privacy import Privacy


def reasons(privacy: Privacy, asking: Asking) -> list[str]:
    return list(privacy.reasons(asking))


def saying(text: str) -> Asking:
    return Asking(name="m", load=lambda: {"messages": [{"role": "user", "content": text}]})


def test_no_rules_keep_nothing_and_read_nothing() -> None:
    asking = Asking(name="m", load=lambda: pytest.fail("the body was read"))
    assert reasons(Privacy(), asking) == []
    assert not Privacy().reads_texts


@pytest.mark.parametrize("name", ["hr-bot", "HR-Bot", "hr-"])
def test_a_name_is_matched_in_any_case(name: str) -> None:
    assert reasons(Privacy(names=["Hr-*"]), Asking(name=name)) == ["privacy: its name matches hr-*"]


def test_other_names_and_keys_may_leave() -> None:
    privacy = Privacy(names=["hr-*"], keys=["0123abcd"])
    assert reasons(privacy, Asking(name="gpt-4o", key="ffff0000")) == []
    assert reasons(privacy, Asking(name="gpt-4o", key=None)) == []


def test_a_key_keeps_all_its_requests() -> None:
    privacy = Privacy(keys=["0123abcd"])
    assert reasons(privacy, Asking(name="m", key="0123abcd")) == ["privacy: key 0123abcd"]


def test_a_pattern_is_searched_in_the_text_and_is_named_by_its_number() -> None:
    privacy = Privacy(patterns=[r"(?i)patient", r"\b\d{3}-\d{2}-\d{4}\b"])
    assert privacy.reads_texts
    assert reasons(privacy, saying("call 123-45-6789")) == ["privacy: pattern 2 is in its text"]
    assert reasons(privacy, saying("hello")) == []


def test_what_was_found_is_not_repeated() -> None:
    assert "6789" not in "".join(reasons(Privacy(patterns=[r"\d{4}"]), saying("6789")))


def test_a_pattern_sees_decoded_text_in_any_field() -> None:
    body = {
        "messages": [{"role": "user", "content": [{"type": "odd", "deep": [{"x": "geheim"}]}]}],
    }
    assert reasons(Privacy(patterns=["geheim"]), Asking(name="m", load=lambda: body))


def test_a_pattern_sees_what_a_tool_answered_as_json() -> None:
    said = json.dumps({"customer": "Müller", "note": "id:\n123-45-6789"})
    privacy = Privacy(patterns=[r"(?i)müller", r"\b\d{3}-\d{2}-\d{4}\b", r"\Aid:\s"])
    assert len(reasons(privacy, saying(said))) == 3


def test_a_pattern_sees_what_a_tool_is_called_with() -> None:
    call = {"function": {"name": "pay", "arguments": json.dumps({"to": "Zoë\nM."})}}
    body = {"messages": [{"role": "assistant", "tool_calls": [call]}]}
    assert reasons(Privacy(patterns=[r"Zoë\b"]), Asking(name="m", load=lambda: body))


def test_a_pattern_sees_numbers() -> None:
    body = {"metadata": {"card": 4111111111111111}}
    assert reasons(Privacy(patterns=[r"^\d{16}$"]), Asking(name="m", load=lambda: body))


def test_every_rule_that_holds_is_told() -> None:
    privacy = Privacy(names=["*", "m"], keys=["0123abcd"], patterns=["a", "z", "."])
    body = {"prompt": "a"}
    found = reasons(privacy, Asking(name="m", key="0123abcd", load=lambda: body))
    assert len(found) == 5


def test_the_settings_make_the_rules() -> None:
    privacy = Privacy.from_config(PrivacyConfig(names=("m",), patterns=("x",)))
    assert privacy.reads_texts
    assert reasons(privacy, Asking(name="m", load=dict))


def test_a_pattern_that_is_none_is_named() -> None:
    with pytest.raises(ConfigError, match=r"privacy\.patterns\[1\]: '\(' is no regular expr"):
        Privacy(patterns=["a", "("])


@pytest.mark.parametrize("key", ["sk-secret", "0123ABCD", "0123abcd0", ""])
def test_a_key_that_is_no_id_is_refused_without_repeating_it(key: str) -> None:
    with pytest.raises(ConfigError, match=r"privacy\.keys\[0\] is no id") as caught:
        Privacy(keys=[key])
    assert not key or key not in str(caught.value)


@pytest.mark.parametrize("field", ["input", "prompt"])
@pytest.mark.parametrize("ids", [[1, 2], [[1, 2], [3]]])
def test_token_ids_stay_here_where_texts_are_searched(field: str, ids: object) -> None:
    asking = Asking(name="m", kind="embedding", load=lambda: {field: ids})
    assert reasons(Privacy(patterns=["x"]), asking) == [
        "privacy: token ids cannot be searched for patterns"
    ]
    assert reasons(Privacy(names=["n"]), asking) == []


@pytest.mark.parametrize("value", [[], [[]], ["a"], [["a"]], "a", None, [{"role": "user"}]])
def test_what_holds_no_token_ids_is_searched(value: object) -> None:
    asking = Asking(name="m", load=lambda: {"input": value})
    assert reasons(Privacy(patterns=["zz"]), asking) == []


def test_without_rules_there_is_nothing_to_ask() -> None:
    assert not Privacy()
    for rules in ({"names": ["a"]}, {"keys": ["0123abcd"]}, {"patterns": ["x"]}):
        assert Privacy(**rules)
