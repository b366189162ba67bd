from __future__ import annotations

import pytest

from reshore.engine.libraries import explain


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            "libgomp.so.1: cannot open shared object file: No such file or directory",
            ["libgomp.so.1", "apt-get install libgomp1", "dnf install libgomp", "Alpine"],
        ),
        ("libstdc++.so.6: cannot open shared object file", ["apt-get install libstdc++6"]),
        ("libnovel.so.2: cannot open shared object file", ["apt-get install libnovel"]),
        ("/lib/libm.so.6: version `GLIBC_2.99' not found (required by x)", ["GLIBC_2.99"]),
        ("No module named 'xllamacpp'", ["pip install xllamacpp"]),
        ("something else", ["something else"]),
    ],
)
def test_a_linkers_error_becomes_one_line_that_says_what_to_do(
    error: str, words: list[str]
) -> None:
    told = explain(error)
    assert "\n" not in told
    assert all(word in told for word in words)
