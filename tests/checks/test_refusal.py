"""Refusals: formulas at the beginning, in several languages, and what only looks like one."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from reshore.checks.check import Check
from reshore.checks.refusal import check_refusal
from reshore.types import ChatRequest, CompletionRequest, Message, TextPart, ToolCall
from tests.checks.saying import begun, said

REFUSALS = [
    "I'm sorry, but I can't help with that.",
    "I’m sorry, but I can’t assist with that request.",
    "Sorry, I can't help you with that.",
    "I cannot provide instructions on how to do that.",
    "I can't provide information on that topic.",
    "I apologize, but I cannot fulfill this request.",
    "I apologize for the confusion, but I cannot fulfill your request.",
    "Unfortunately, I am unable to assist you with this.",
    "As an AI language model, I cannot provide medical advice.",
    "As a responsible AI assistant, I can't create content of that kind... I can't help with that.",
    "I'm unable to help with that.",
    "I am not able to provide that information.",
    "I must decline to answer this question.",
    "I won't write that.",
    "I will not engage in this conversation.",
    "I don't feel comfortable discussing this topic.",
    "**I'm sorry**, but I can't assist with that.",
    "I'm afraid I can't do that.",
    "Es tut mir leid, aber ich kann Ihnen dabei nicht helfen.",
    "Tut mir leid, dabei kann ich nicht helfen.",
    "Ich kann diese Anfrage leider nicht beantworten.",
    "Je suis désolé, mais je ne peux pas vous aider.",
    "Désolée, je ne peux pas répondre à cette question.",
    "Je ne suis pas en mesure de fournir ces informations.",
    "Lo siento, pero no puedo ayudarte con eso.",
    "No puedo proporcionar esa información.",
    "Mi dispiace, ma non posso aiutarti.",
    "Desculpe, mas não posso ajudar com isso.",
    "Sinto muito, mas não posso fornecer essa informação.",
    "Het spijt me, maar ik kan je daar niet bij helpen.",
    "Przepraszam, ale nie mogę pomóc w tej sprawie.",
    "Извините, но я не могу помочь с этим.",
    "К сожалению, я не могу предоставить эту информацию.",
    "抱歉，我无法提供相关信息。",
    "很抱歉，我不能帮助您完成这个请求。",
    "申し訳ありませんが、そのご質問にはお答えできません。",
    "죄송합니다만, 그 요청은 도와드릴 수 없습니다.",
]

ANSWERS = [
    "Once upon a time a fox said: I can't help you, and went away.",
    '"I can\'t help you with that," she said, and closed the door.',
    "I can't wait to help you with this! Here is the plan:",
    "I can't help but notice that the code has a bug.",
    "I can't stress enough how important backups are.",
    "I cannot recommend this book highly enough.",
    "I can't believe it worked.",
    "I'm sorry to hear that. Here is what you can do:",
    "I'm sorry for your loss. Grief takes time.",
    "Sorry, I made a mistake above: the answer is 12.",
    "I apologize for the confusion. The answer is 12.",
    "Unfortunately, the train leaves at 9.",
    "Unfortunately, there is no way to undo a force push.",
    "I am unable to walk since the accident, wrote the poet.",
    "As an AI, I don't have feelings, but I enjoy this question.",
    "As an AI language model, I don't have access to live data; in general, though, it rains.",
    "You can't provide both flags at once.",
    "We cannot divide by zero, so x is not 2.",
    "I can't see the image well, but it looks like a cat.",
    "I can help with that! First, open the settings.",
    "I will not repeat the table; the totals are below.",
    "Ich kann nicht nur Python, sondern auch Rust empfehlen.",
    "Leider ist die Datei leer.",
    "Je ne peux pas m'empêcher de sourire.",
    "No puedo creerlo: funciona.",
    "Lo siento por tu pérdida.",
    "Désolé pour le retard, voici le texte.",
    "对不起是中文里的道歉用语。",
    "抱歉让你久等了，答案是42。",
    "すみません、少し長くなります。まず設定を開きます。",
    "죄송합니다. 정답은 42입니다.",
    "",
    "42",
]


@pytest.mark.parametrize("text", REFUSALS)
def test_a_refusal_fails(text: str) -> None:
    check = check_refusal(said(text))
    assert check.ok is False
    assert check.detail.startswith('"')


@pytest.mark.parametrize("text", REFUSALS[:3])
def test_a_refusal_that_goes_on_fails_already(text: str) -> None:
    assert check_refusal(begun(text)).ok is False


@pytest.mark.parametrize("text", ANSWERS)
def test_an_answer_does_not(text: str) -> None:
    assert check_refusal(said(text)).ok is True


def test_of_a_beginning_nothing_is_known_yet() -> None:
    assert check_refusal(begun("I'm sorry, but")).ok is None


def test_a_refusal_later_on_is_a_part_of_the_answer() -> None:
    text = "The letter reads:\n" + "Dear Sir, " * 40 + "I'm sorry, but I can't help with that."
    assert check_refusal(said(text)).ok is True


@pytest.mark.parametrize(
    "asked",
    [
        "Write a polite refusal to an invitation",
        "Decline this offer for me",
        "Translate into English: Lo siento, pero no puedo ayudarte con eso.",
        "What does \"I'm sorry, but I can't help with that\" mean?",
    ],
)
def test_a_refusal_that_was_asked_for_is_none(asked: str) -> None:
    assert check_refusal(said(REFUSALS[0], asked=asked)).ok is None


def test_what_was_asked_is_read_in_parts_and_prompts_as_well() -> None:
    part = TextPart(text="Please reject it")
    chat = ChatRequest(model="m", messages=(Message(role="user", content=(part,)),))
    assert _with(chat).ok is None
    assert _with(CompletionRequest(model="m", prompts=("A refusal:", (1, 2)))).ok is None
    assert _with(ChatRequest(model="m", messages=())).ok is False


def _with(request: ChatRequest | CompletionRequest) -> Check:
    return check_refusal(replace(said(REFUSALS[0]), request=request))


def test_a_call_is_no_refusal() -> None:
    call = ToolCall(id="1", name="f", arguments="{}")
    assert check_refusal(said(REFUSALS[0], tool_calls=(call,))).ok is True


def test_no_more_of_the_answer_is_quoted_than_the_formula() -> None:
    check = check_refusal(said("I'm sorry, but I can't help with the Miller account of 2019."))
    assert check.detail == "\"I'm sorry, but I can't help with...\""


def test_a_prompt_cannot_keep_the_check_busy() -> None:
    """Blanks between words are matched by patterns that would try each length of a long run."""
    began = time.process_time()
    for asked in (" " * 4000, "\n" * 4000, "i'm sorry " * 400, "ich kann " + "a " * 2000):
        check_refusal(said(REFUSALS[0], asked=asked))
    assert time.process_time() - began < 1


@given(st.text(max_size=400))
def test_any_text_can_be_judged(text: str) -> None:
    assert check_refusal(said(text)).ok in (True, False)
