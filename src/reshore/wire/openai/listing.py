"""The models that an upstream lists."""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from reshore.types import ModelInfo


class _Model(Struct, gc=False):
    id: str
    created: float | None = None
    owned_by: str | None = None


class _List(Struct, gc=False):
    data: list[Raw]


def read_models(body: bytes, *, owner: str) -> tuple[ModelInfo, ...]:
    """The reply of `GET /v1/models`; entries without an id are left out.

    Args:
        owner: who owns a model of which the reply does not say it.

    Raises:
        msgspec.MsgspecError: it is no list of models.
    """
    models = []
    for raw in msgspec.json.decode(body, type=_List).data:
        try:
            model = msgspec.json.decode(raw, type=_Model)
        except msgspec.ValidationError:
            continue
        models.append(
            ModelInfo(
                name=model.id, created_s=int(model.created or 0), owned_by=model.owned_by or owner
            )
        )
    return tuple(models)
