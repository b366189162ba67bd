"""A model's own parameters fill in what a request leaves open."""

from reshore.backends.defaults import with_model_defaults, with_model_options, with_own_messages
from reshore.types import Message, Options, Sampling


def test_a_request_wins_over_the_model() -> None:
    merged = with_model_defaults(Sampling(temperature=0.1), {"temperature": 0.9, "top_k": 7})
    assert (merged.temperature, merged.top_k) == (0.1, 7)


def test_stop_texts_add_up_without_repeats() -> None:
    merged = with_model_defaults(Sampling(stop=("a",)), {"stop": ["a", "<end>"]})
    assert merged.stop == ("a", "<end>")
    assert with_model_defaults(Sampling(), {"stop": "x"}).stop == ("x",)


def test_an_endless_num_predict_sets_no_limit() -> None:
    assert with_model_defaults(Sampling(), {"num_predict": -1}).max_tokens is None
    assert with_model_defaults(Sampling(), {"num_predict": 12}).max_tokens == 12


def test_without_parameters_nothing_changes() -> None:
    sampling = Sampling(seed=1)
    assert with_model_defaults(sampling, {}) is sampling


def test_num_ctx_of_the_model_counts_where_the_request_has_none() -> None:
    assert with_model_options(Options(), {"num_ctx": 512}).num_ctx == 512
    assert with_model_options(Options(num_ctx=64), {"num_ctx": 512}).num_ctx == 64
    assert with_model_options(Options(), {"num_ctx": "big"}).num_ctx is None


def test_the_models_system_prompt_leads_unless_the_request_brings_one() -> None:
    user = Message(role="user", content="hi")
    kind = Message(role="system", content="be kind")
    assert with_own_messages((user,), "be kind", ()) == (kind, user)
    for role in ("system", "developer"):
        own = (Message(role=role, content="mine"), user)
        assert with_own_messages(own, "be kind", ()) == own
    assert with_own_messages((user,), None, ()) == (user,)


def test_the_models_examples_stand_between_its_system_prompt_and_the_conversation() -> None:
    user = Message(role="user", content="hi")
    kind = Message(role="system", content="be kind")
    examples = (Message(role="user", content="1"), Message(role="assistant", content="2"))
    assert with_own_messages((user,), "be kind", examples) == (kind, *examples, user)
    assert with_own_messages((kind, user), "mine", examples) == (*examples, kind, user)
