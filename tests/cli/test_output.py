import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.cli.output import human_bytes, human_count, human_span, print_table


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (98_362_432, "98 MB"),
        (999_600_000, "1.0 GB"),
        (5_000_000_000_000, "5.0 TB"),
    ],
)
def test_sizes(size, text):
    assert human_bytes(size) == text


@given(st.integers(min_value=0, max_value=10**15 - 10**12))
def test_a_size_is_short_and_close(size):
    number, unit = human_bytes(size).split()
    factor = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}[unit]
    assert len(number) <= 3
    assert abs(float(number) * factor - size) <= 0.06 * size


@pytest.mark.parametrize(("number", "text"), [(992, "992"), (134_515_008, "134.5 M")])
def test_counts(number, text):
    assert human_count(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "a moment"), (0.4, "a moment"), (1, "1 second"), (299, "4 minutes"), (90000, "1 day")],
)
def test_spans(seconds, text):
    assert human_span(seconds) == text


def test_a_table_is_aligned_and_has_no_blanks_at_the_end(capsys):
    print_table(("NAME", "SIZE"), [("[b]x[/b]", "1"), ("longer-name", "22")])
    assert capsys.readouterr().out == ("NAME         SIZE\n[b]x[/b]     1\nlonger-name  22\n")


def test_what_a_terminal_would_obey_is_shown_and_not_sent(capsys):
    print_table(
        ("NAME",),
        [
            [
                "\x1b]0;mine\x07 \u202e\r",
            ],
            ["two\nlines"],
        ],
    )
    assert capsys.readouterr().out == "NAME\n\\x1b]0;mine\\x07 \\u202e\\r\ntwo\nlines\n"
