"""Token ids that a client gives, held against the tokens that a model has."""

import msgspec
import pytest

from reshore.backends.vocabulary import refuse_unknown_tokens
from reshore.errors import Unsupported
from reshore.models.facts import Servable
from reshore.testing import fake_model


def having(tokens: int) -> Servable:
    model = fake_model()
    return msgspec.structs.replace(
        model, facts=msgspec.structs.replace(model.facts, vocab_size=tokens)
    )


def test_every_token_of_the_model_may_have_a_bias() -> None:
    refuse_unknown_tokens({0: 1.0, 255: -100.0}, having(256))


@pytest.mark.parametrize("token", [256, 99_999_999])
def test_a_bias_on_a_token_that_the_model_lacks_is_refused(token: int) -> None:
    with pytest.raises(Unsupported, match=rf"{token}.*tiny:latest.*256") as refused:
        refuse_unknown_tokens({5: 1.0, token: 100.0}, having(256))
    assert refused.value.param == "logit_bias"


def test_a_model_that_does_not_say_how_many_it_has_takes_any() -> None:
    refuse_unknown_tokens({99_999_999: 1.0}, having(0))
