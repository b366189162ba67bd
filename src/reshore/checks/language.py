"""Whether an answer is in the language of the question. Pure, linear, with tables of our own.

A language is told by its script, or, among those in Latin letters, by its commonest small words.
That is certain for a few sentences and impossible for a few words, where nothing is said at all.
Small models fall back into English (or Chinese) in mid-conversation; this is what finds it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from reshore.checks.check import Check, Said
from reshore.types import ChatRequest, Message

# What is looked at of either text: enough for its language, and never more time than this takes.
_LOOKED_AT = 4000
_LETTERS = 12  # fewer letters of another script than Latin say nothing
_WORDS = 8  # fewer words in Latin letters do not either
_HITS = 3  # different small words of one language that must be there
_LEAD = 2  # how many times as many as of any other language
_SHARE = 0.7  # of the letters that must be of one script
# A longer question may hold a text to work on, in whatever language.
_LONGEST_QUESTION = 1000

# What is in no language, or in one of its own: code, formulas, addresses, markup.
_NO_LANGUAGE = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]*`|\$[^$\n]*\$|https?://\S+|<[^<>\n]*>", re.DOTALL
)
_WORD = re.compile(r"[^\W\d_]+")

# First code point, last one, script. Letters elsewhere count as of no script.
_RANGES = (
    (0x0041, 0x024F, "latin"),
    (0x0370, 0x03FF, "greek"),
    (0x0400, 0x052F, "cyrillic"),
    (0x0531, 0x058F, "armenian"),
    (0x0590, 0x05FF, "hebrew"),
    (0x0600, 0x077F, "arabic"),
    (0x0900, 0x097F, "devanagari"),
    (0x0980, 0x09FF, "bengali"),
    (0x0B80, 0x0BFF, "tamil"),
    (0x0C00, 0x0C7F, "telugu"),
    (0x0E00, 0x0E7F, "thai"),
    (0x10A0, 0x10FF, "georgian"),
    (0x1E00, 0x1EFF, "latin"),
    (0x3040, 0x30FF, "kana"),
    (0x3400, 0x4DBF, "han"),
    (0x4E00, 0x9FFF, "han"),
    (0xAC00, 0xD7AF, "hangul"),
)

# The commonest words of each that few of the others have; single letters stand for too much else.
_SMALL_WORDS = {
    "English": "the of and to is that it for are with this be was you have not from which how",
    "German": "der die das und ist nicht ein eine zu den mit sich auf für dem von wird auch wie",
    "French": "le les des et est une du que pour dans qui sur pas avec ce au plus sont vous cette",
    "Spanish": "el los las es una que del por con para se como más pero su esta son qué muy",
    "Italian": "il gli di che una per non con sono della si come anche più nel questo dei delle",
    "Portuguese": "os as do da que uma não para com em um por mais dos como você são ao",
    "Dutch": "de het een en van is dat niet op te met voor zijn aan ook wordt bij naar er worden",
    "Polish": "nie się na jest że do to jak co dla są przez ale od czy można tego",
    "Swedish": "och att det som är en på för av med inte den till har de ett om kan var så",
    "Turkish": "ve bir bu için da ile olarak çok daha gibi olan ne var değil ama kadar en mi",
    "Czech": "se na je že to do jako pro za jsou by které aby nebo jeho podle",
    "Indonesian": "yang dan di untuk dengan ini adalah dari pada tidak dalam itu akan atau juga",
    "Vietnamese": "là và của có một cho không được các trong với người những này để khi đến từ bạn",
}

# A request that speaks of languages may want another one than its own.
_SPEAKS_OF_LANGUAGES = re.compile(
    r"\b(?:translat\w*|language\w*|bilingual\w*|übersetz\w*|sprache\w*|tradu\w+|langue\w*|idioma\w*"
    r"|lingua\w*|vertaal\w*|vertaling|taal|przetłumacz\w*|język\w*|перевед\w*|перевод\w*|язык\w*"
    r"|english|german|french|spanish|italian|portuguese|dutch|polish|swedish|turkish|czech|russian"
    r"|indonesian|vietnamese|chinese|mandarin|japanese|korean|arabic|hebrew|hindi|greek|thai|latin"
    r"|englisch\w*|deutsch\w*|französisch\w*|spanisch\w*|italienisch\w*|anglais\w*|allemand\w*"
    r"|français\w*|espagnol\w*|inglés|alemán|francés|español\w*|inglese|tedesco|francese|italiano"
    r"|inglês|português\w*|engels|duits|nederlands\w*|angielsk\w*|polsk\w*|английск\w*|русск\w*)\b"
    r"|翻译|翻譯|英语|英文|中文|日语|翻訳|英語|日本語|번역|영어|한국어",
    re.IGNORECASE,
)


def language(text: str) -> str | None:
    """The language of a text, or its script where that is all that can be told; None for neither.

    A text of several languages, of code, or of a few words has none.
    """
    plain = _NO_LANGUAGE.sub(" ", text[:_LOOKED_AT])
    scripts = Counter(_scripts(plain))
    if not scripts:
        return None
    if scripts["kana"]:
        # Japanese has both; Chinese quotes a kana now and then.
        asian = scripts["kana"] + scripts["han"]
        name, letters = ("Japanese", asian) if scripts["kana"] * 10 > asian else ("han", asian)
    else:
        name, letters = scripts.most_common(1)[0]
    if letters < _SHARE * sum(scripts.values()):
        return None
    if name == "latin":
        return _by_words(plain)
    return name if letters >= _LETTERS else None


def check_language(said: Said) -> Check:
    """Fails where question and answer are certainly in different languages.

    None where either cannot be told, and where the request speaks of languages at all: it may ask
    for a translation, or its system prompt may fix the language of all answers.
    """
    request = said.request
    if not isinstance(request, ChatRequest) or not said.ended:
        return Check(name="language")
    asked = _asked(request.messages)
    answered = None if asked is None else language(said.text)
    if asked is None or answered is None:
        return Check(name="language", detail="no language can be told")
    if asked == answered:
        return Check(name="language", ok=True)
    if any(_SPEAKS_OF_LANGUAGES.search(turn.text[-_LOOKED_AT:]) for turn in _framing(request)):
        return Check(name="language", detail="the request speaks of languages")
    return Check(name="language", ok=False, detail=f"{answered} to a question in {asked}")


def _scripts(text: str) -> Iterator[str]:
    for character in text:
        code = ord(character)
        if code < 0x80:
            if character.isalpha():
                yield "latin"
        elif character.isalpha():
            yield next((name for first, last, name in _RANGES if first <= code <= last), "other")


def _by_words(text: str) -> str | None:
    words = Counter(_WORD.findall(text.lower()))
    if words.total() < _WORDS:
        return None
    found = {
        name: [words[word] for word in small.split() if word in words]
        for name, small in _SMALL_WORDS.items()
    }
    best, second, *_ = sorted(found, key=lambda name: sum(found[name]), reverse=True)
    leads = sum(found[best]) >= _LEAD * sum(found[second])
    return best if leads and len(found[best]) >= _HITS else None


def _asked(messages: tuple[Message, ...]) -> str | None:
    """The language of the last question, if it has one and no paragraph has another."""
    text = next((turn.text for turn in reversed(messages) if turn.role == "user"), "")
    if len(text) > _LONGEST_QUESTION:
        return None
    whole = language(text)
    return whole if {language(line) for line in text.splitlines()} <= {whole, None} else None


def _framing(request: ChatRequest) -> list[Message]:
    """What may fix the language: system prompts, and all that the user said."""
    return [turn for turn in request.messages if turn.role not in ("assistant", "tool")]
