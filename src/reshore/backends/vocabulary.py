"""Token ids that a client gives, against the tokens that a model has. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from reshore.errors import Unsupported
from reshore.models.facts import Servable


def refuse_unknown_tokens(biased: Iterable[int], model: Servable) -> None:
    """Refuse a bias on a token that the model lacks, which an engine drops without a word.

    Raises:
        Unsupported: a token id of `logit_bias` is none of the model's.
    """
    size = model.facts.vocab_size
    if not size:  # the file does not say
        return
    unknown = next((token for token in biased if token >= size), None)
    if unknown is not None:
        raise Unsupported(
            f"logit_bias names the token {unknown}, but {model.name} has {size} tokens, numbered "
            "from 0. Send the ids of this model's own tokens, or leave it out.",
            param="logit_bias",
        )
