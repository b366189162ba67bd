"""JSON that is nearly a request: known keys with values of any kind."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from reshore.wire.openai.fields import TABLE

KEYS = sorted({key for group in TABLE.values() for key in group.fields} | {"x", "0", "7"})
WORDS = [
    *("system", "developer", "user", "assistant", "tool", "function", "text", "refusal"),
    *("image_url", "input_audio", "file", "custom", "allowed_tools", "auto", "none", "required"),
    *("json_object", "json_schema", "base64", "float", "5m", "high", "", "f", "{}", "\x00", "٣"),
    *("data:image/png;base64,iVBORw0KGgo=", "https://example.org/a.png", "data:x", "{"),
]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, 1, -1, 2**31, 2**63, 10**400, 0.5, 1.0, 1e308])
    | st.sampled_from(WORDS)
    | st.text(max_size=8)
)
JSON: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=4), inner, max_size=5)
    ),
    max_leaves=25,
)


def bodies(schema: str, **valid: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Bodies with some fields of `schema` set to anything, over a valid base, and some unknown."""
    fields = st.dictionaries(st.sampled_from(sorted(TABLE[schema].fields)), JSON, max_size=6)
    unknown = st.dictionaries(st.text(max_size=5), JSON, max_size=1)
    return st.builds(lambda some, more: valid | some | more, fields, unknown)


def messages() -> st.SearchStrategy[list[Any]]:
    """Messages with real roles and fields, whatever stands in them."""
    roles = st.sampled_from(["system", "developer", "user", "assistant", "tool", "function"])
    names = sorted({k for s in TABLE if "Message" in s for k in TABLE[s].fields})
    rest = st.dictionaries(st.sampled_from(names), JSON, max_size=4)
    return st.lists(
        st.builds(lambda role, fields: {"role": role, "content": "c"} | fields, roles, rest),
        max_size=3,
    )
