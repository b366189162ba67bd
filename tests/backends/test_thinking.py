import pytest

from reshore.backends.choices import ReadThoughts, in_turn, without_rivals
from reshore.backends.thinking import lead_of
from reshore.models.thinking import Marks, find_marks
from reshore.types import Chunk, TokenLogprob

MARKS = Marks("<think>", "</think>")
TURN = "<|im_start|>assistant\n"


@pytest.mark.parametrize(
    ("prompt", "thinking", "lead"),
    [
        (f"{TURN}<think>\n", None, "opened"),
        (f"{TURN}<think>\n", True, "opened"),
        (f"{TURN}<think>\n", False, "closed"),
        (TURN, None, "offered"),
        (TURN, True, "asked"),
        (TURN, False, None),
        (f"{TURN}<think>\n\n</think>\n\n", None, None),
        (f"{TURN}<think>\n\n</think>\n\n", False, None),
    ],
)
def test_the_prompt_tells_how_the_answer_begins(
    prompt: str, thinking: bool | None, lead: str | None
) -> None:
    assert lead_of(prompt, MARKS, thinking) == lead


@pytest.mark.parametrize(
    ("template", "marks"),
    [
        ("{{ '<think>' }}", MARKS),
        ("[THINK] and [/THINK]", Marks("[THINK]", "[/THINK]")),
        ("{% if enable_thinking %}{% endif %}", None),
        (None, None),
    ],
)
def test_a_template_tells_the_tags(template: str | None, marks: Marks | None) -> None:
    assert find_marks(template) == marks


def test_every_tag_is_known_by_itself() -> None:
    assert MARKS.tags == ("<think>", "</think>")
    channels = find_marks("<|channel|>analysis<|message|>")
    assert channels is not None
    assert channels.tags == ("<|channel|>", "<|message|>", "<|end|>", "<|start|>")


def read(*chunks: Chunk, opened: bool = False) -> list[Chunk]:
    reader = ReadThoughts(MARKS, opened=opened)
    return [piece for chunk in chunks for piece in reader(chunk)]


def test_every_choice_is_read_for_itself() -> None:
    pieces = read(
        Chunk(index=0, content="<think>a</think>{"),
        Chunk(index=1, content="["),
        Chunk(index=0, content="}"),
        Chunk(index=1, content="]", finish_reason="stop"),
    )
    assert pieces == [
        Chunk(index=0, reasoning="a"),
        Chunk(index=0, content="{"),
        Chunk(index=1, content="["),
        Chunk(index=0, content="}"),
        Chunk(index=1, content="]", finish_reason="stop"),
    ]


def test_what_is_held_back_comes_with_the_end() -> None:
    pieces = read(Chunk(content="a <"), Chunk(finish_reason="length"), opened=True)
    assert pieces == [Chunk(reasoning="a"), Chunk(reasoning=" <", finish_reason="length")]


def test_no_log_probability_is_lost() -> None:
    tokens = tuple(TokenLogprob(token=text, logprob=-1) for text in ("<think>", "a", "</think>{"))
    pieces = read(*(Chunk(content=token.token, logprobs=(token,)) for token in tokens))
    assert [token for piece in pieces for token in piece.logprobs] == list(tokens)


def test_an_engine_that_reads_thoughts_itself_is_believed() -> None:
    pieces = read(Chunk(reasoning="a"), Chunk(content="\n\n{"), opened=True)
    assert pieces == [Chunk(reasoning="a"), Chunk(content="{")]


def test_readers_work_in_turn() -> None:
    token = TokenLogprob(token="{", logprob=-1)
    both = in_turn(ReadThoughts(MARKS, opened=False), without_rivals)
    assert list(both(Chunk(content="{", logprobs=(token,)))) == [
        Chunk(content="{", logprobs=(token,))
    ]
    alone = ReadThoughts(MARKS, opened=False)
    assert in_turn(alone, None) is alone
