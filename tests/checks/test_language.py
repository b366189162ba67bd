"""Whether an answer is in the language of the question."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.checks.answers import judge
from reshore.checks.check import Said
from reshore.checks.language import check_language, language
from reshore.types import ChatRequest, Message
from tests.checks.saying import begun, said

TEXTS = {
    "English": "The capital of the country is Paris, which is one of the largest cities in Europe.",
    "German": "Die Hauptstadt des Landes ist Paris, und das ist eine der größten Städte in Europa.",
    "French": "La capitale du pays est Paris, une des plus grandes villes de France, "
    "avec ses ponts.",
    "Spanish": "La capital del país es Madrid, una de las ciudades más grandes y con los mejores.",
    "Italian": "La capitale è Roma, una delle città più grandi, che non ha bisogno di "
    "presentazioni.",
    "Portuguese": "A capital do país é Lisboa, uma das cidades mais antigas, e não só "
    "para os turistas.",
    "Dutch": "De hoofdstad van het land is Amsterdam, een van de grootste steden, "
    "maar niet de oudste.",
    "Polish": "Stolicą kraju jest Warszawa, która nie jest najstarsza, ale to się do "
    "niej jedzie w lecie.",
    "Swedish": "Huvudstaden är Stockholm, och det är en av de största städerna som "
    "inte ligger söderut.",
    "Turkish": "Ülkenin başkenti Ankara ve bu şehir çok büyük bir yer olarak bilinir "
    "ama en eski değil.",
    "Czech": "Hlavní město je Praha, která se rozkládá na řece a je to jedno z "
    "měst, jako jsou jiná.",
    "Indonesian": "Ibu kota itu adalah Jakarta, dan kota ini tidak kecil untuk orang "
    "yang tinggal di sana.",
    "Vietnamese": "Thủ đô của nước này là Hà Nội, và đó là một trong những thành phố "
    "được nhiều người biết.",
    "cyrillic": "Столица страны — Москва, один из крупнейших городов Европы.",
    "Japanese": "日本の首都は東京です。とても大きな都市です。",
    "han": "中国的首都是北京，是世界上人口最多的城市之一。",
    "hangul": "대한민국의 수도는 서울이며 매우 큰 도시입니다.",
    "arabic": "عاصمة مصر هي القاهرة وهي مدينة كبيرة جدا",
    "greek": "Η πρωτεύουσα της Ελλάδας είναι η Αθήνα.",
    "hebrew": "בירת ישראל היא ירושלים והיא עיר גדולה",
    "thai": "เมืองหลวงของประเทศไทยคือกรุงเทพมหานคร",
    "devanagari": "भारत की राजधानी नई दिल्ली है और यह बड़ा शहर है",
}
QUESTION = "Could you tell me what the capital of the country is, and how large it is?"
GERMAN = (
    "Kannst du mir sagen, wie die Hauptstadt von Frankreich heißt und wie groß sie ist, ungefähr?"
)


@pytest.mark.parametrize("name", TEXTS)
def test_a_language_is_told_by_its_script_or_its_small_words(name: str) -> None:
    assert language(TEXTS[name]) == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "42",
        "Berlin, Hamburg, Köln",
        "`the of and to is that it for are with`",
        "東京",
        "Πα",
        "!?…",
        f"{TEXTS['English']} {TEXTS['German']}",
        f"{TEXTS['han']} That is all, friends.",
    ],
)
def test_a_few_words_and_several_languages_have_none(text: str) -> None:
    assert language(text) is None


def test_code_and_addresses_have_no_language() -> None:
    code = "```python\n# der die das und ist nicht ein eine zu den mit sich\n```"
    assert language(f"{TEXTS['English']}\n{code}\nhttps://der.die.das/und/ist") == "English"


@pytest.mark.parametrize(("question", "answer"), [(GERMAN, "English"), (QUESTION, "han")])
def test_an_answer_in_another_language_fails(question: str, answer: str) -> None:
    check = judge("language", said(TEXTS[answer], asked=question), min_logprob=0)
    assert check.ok is False
    assert check.detail.startswith(f"{answer} to a question in ")


def test_an_answer_in_the_language_of_the_question_passes() -> None:
    assert check_language(said(TEXTS["German"], asked=GERMAN)).ok is True


@pytest.mark.parametrize(
    "question",
    [
        f"{QUESTION} Say it in German.",
        f"Translate: {TEXTS['English']}",
        "Paris?",
        f"{QUESTION}\n{TEXTS['Spanish']}",
        f"Summarise this: {TEXTS['French'] * 15}",
    ],
    ids=["asks for one", "translation", "too short", "two paragraphs", "a long text"],
)
def test_nothing_is_said_where_the_language_may_be_meant(question: str) -> None:
    assert check_language(said(TEXTS["German"], asked=question)).ok is None


def test_a_system_prompt_may_fix_the_language() -> None:
    messages = (
        Message(role="system", content="Réponds toujours en français."),
        Message(role="user", content=QUESTION),
    )
    asked = ChatRequest(model="m", messages=messages)
    assert check_language(Said(request=asked, text=TEXTS["French"])).ok is None


def test_nothing_is_said_of_an_answer_that_goes_on() -> None:
    assert check_language(begun(TEXTS["German"], asked=QUESTION)).ok is None


@given(st.text(max_size=300), st.text(max_size=300))
def test_any_text_has_one_language_or_none(one: str, other: str) -> None:
    assert language(one) is None or isinstance(language(one), str)
    assert check_language(said(other, asked=one)).ok in (None, True, False)
