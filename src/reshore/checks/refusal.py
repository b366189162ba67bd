"""Whether a model refuses instead of answering.

Refusals of chat models are formulas: an apology, "I can't", and what they will not do. The formula
must stand at the beginning, in one of the languages below, and be about helping, answering or
providing: "I can't wait", "I can't help but notice" and a character who says "I can't" are none.
What a model lacks (live data, a camera, opinions) is no refusal either, as another model lacks it
too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from reshore.checks.check import Check, Said
from reshore.types import ChatRequest, TextPart

# Where a refusal stands, and what of it is quoted.
_OPENING = 320
_QUOTED = 60

# Per language: what may come before, who cannot, and what is refused. Each is a regular
# expression in lower case; `_` stands for blanks, and `_?` for blanks or none.
_ENGLISH = (
    r"(?:(?:(?:i'?m|i_am)_(?:(?:very|so|truly|really|terribly|deeply)_)?(?:sorry|afraid|unable)"
    r"|sorry|apologies|my_apologies|(?:i|we)_apologi[sz]e|unfortunately|regrettably)"
    r"(?:_for_(?:the|any)_[a-z]+(?:_caused)?)?[,.!;:]?_?(?:but_|that_|however,?_)?)?"
    r"(?:as_an?_(?:ai|artificial|language|large|responsible|virtual)[^,.\n]{0,60},?_)?"
    r"(?:i_(?:simply_|just_|really_)?(?:can't|cannot|can_not|won't|will_not|must_not|could_not"
    r"|am_(?:not_able|unable|not_allowed|not_permitted|not_programmed|not_going)_to"
    r"|(?:must|have_to|need_to)_(?:respectfully_|politely_)?(?:decline|refuse)(?:_to)?"
    r"|(?:don't|do_not)_feel_comfortable(?:_with)?|(?:am|feel)_not_comfortable(?:_with)?)"
    r"|i'm_(?:not_able|unable|not_allowed|not_permitted|not_programmed|not_going|not_comfortable)"
    r"(?:_to|_with)?|to_(?=(?:help|assist|provide|fulfill)\b))"
)
_ENGLISH_ACTS = (
    r"_(?:\w+ly_)?(?:to_)?(?:help(?:ing)?_(?:you_)?(?:with|in|on|out|create|write|plan)"
    r"|help(?:ing)?(?:_you)?[.,!]|assist(?:ing)?\b"
    r"|(?:provid|offer|giv|shar|creat|generat|writ|produc|fulfil|fulfill|discuss|engag|complet"
    r"|support|promot|continu|respond|answer|compl)(?:e|ing|y|ying)?_(?:you_with_)?"
    r"(?:to_|with_|in_|on_)?(?:any_|this|that|your|such|the_(?:request|information|content)"
    r"|(?:information|instructions|guidance|advice|content|assistance|support|details|code|help|"
    r"explicit|harmful|illegal|medical|legal|a_response|an_answer)\b)"
    r"|comply\b|do_that\b|do_this_(?:for|request|task)|decline\b|participate_in_(?:this|that)"
    r"|(?:this|that|your)_request)"
)
_DECLINES = r"|i_(?:must|have_to|need_to)_(?:respectfully_|politely_)?(?:decline|refuse)\b"

_PATTERNS = (
    _ENGLISH + _ENGLISH_ACTS + _DECLINES,
    # German
    r"(?:(?:es_)?tut_mir_(?:sehr_)?leid|entschuldigung|leider|ich_bedaure(?:_sehr)?|bedauerlicherweise)?"
    r"[,.!:;]?_?(?:aber_|doch_|dass_)?(?:(?:dabei|hierbei|damit|das|diese_\w+|dazu)_)?"
    r"(?:ich_(?:kann|darf|werde)|(?:kann|darf|werde)_ich)_(?:\w+_){0,6}?nicht_(?:\w+_){0,2}?"
    r"(?:weiter)?(?:helfen|behilflich|unterstützen|beantworten|nachkommen|erfüllen|bereitstellen"
    r"|ausführen|anbieten)\b",
    # French
    r"(?:(?:je_suis_(?:vraiment_|sincèrement_)?)?désolée?|malheureusement|je_m'excuse|je_regrette)?"
    r"[,.!:;]?_?(?:mais_)?je_ne_(?:peux|puis|pourrai|suis|saurais)_pas_(?:en_mesure_d[e']_?)?"
    r"(?:(?:vous|t'|te|y)_?)?(?:aider|assister|fournir|répondre|satisfaire|accéder_à_(?:cette|votre)"
    r"|accomplir|traiter_(?:cette|votre))\b",
    # Spanish
    r"(?:lo_siento(?:_mucho)?|lo_lamento|lamentablemente|disculp[ae]|perdón|me_temo_que)?"
    r"[,.!:;]?_?(?:pero_)?no_(?:puedo|podré|me_es_posible|estoy_en_condiciones_de)_"
    r"(?:ayudar(?:te|le|lo|la|os|les)?|asistir(?:te|le)?|proporcionar(?:te|le)?|responder|cumplir"
    r"|brindar(?:te|le)?|ofrecer(?:te|le)?_(?:ayuda|información))\b",
    # Italian
    r"(?:mi_dispiace(?:_molto)?|spiacente|purtroppo|mi_scuso)?[,.!:;]?_?(?:ma_)?"
    r"non_(?:posso|potrò|sono_in_grado_di)_(?:aiutart[ei]|aiutarla|aiutare|fornir[et]\w*|rispondere"
    r"|assister[et]\w*|soddisfare)\b",
    # Portuguese
    r"(?:desculpe(?:-me)?|me_desculpe|sinto_muito|lamento|infelizmente|peço_desculpas?)?[,.!:;]?_?"
    r"(?:mas_)?(?:eu_)?não_(?:posso|poderei|consigo)_(?:te_|lhe_|o_|a_)?"
    r"(?:ajudar(?:-\w+)?|fornecer|responder|atender|auxiliar|cumprir)\b",
    # Dutch
    r"(?:het_spijt_me|sorry|helaas|mijn_excuses)?[,.!:;]?_?(?:maar_)?(?:daar_|hier_)?"
    r"(?:ik_(?:kan|mag|zal)|(?:kan|mag|zal)_ik)_(?:\w+_){0,4}?niet_(?:\w+_){0,2}?"
    r"(?:helpen|assisteren|beantwoorden|voldoen|verstrekken)\b",
    # Polish
    r"(?:przepraszam|przykro_mi|niestety)?[,.!:;]?_?(?:ale_)?nie_(?:mogę|jestem_w_stanie)_"
    r"(?:(?:ci|panu|pani|w_tym)_)?(?:pomóc|odpowiedzieć|udzielić|spełnić|dostarczyć)\b",
    # Russian
    r"(?:извините|простите|к_сожалению|мне_(?:очень_)?жаль|сожалею|прошу_прощения)?[,.!:;]?_?(?:но_)?"
    r"я_не_(?:могу|смогу|в_состоянии)_(?:вам_|тебе_|с_этим_)?"
    r"(?:помочь|помогать|предоставить|ответить|выполнить|удовлетворить)\b",
    # Chinese, Japanese, Korean: an apology first, for without one the words are too common
    r"(?:非常|很|十分)?(?:抱歉|对不起|對不起|不好意思)[,，。!！:：]*_?(?:但是?)?"
    r"(?:作为[^,，。]{1,20}[,，]?)?(?:我)?(?:无法|無法|不能|没办法|沒辦法)[^。\n]{0,12}?"
    r"(?:帮助|幫助|帮您|帮你|协助|協助|提供|回答|满足|滿足|完成|回应|回應|继续)",
    r"(?:大変)?(?:申し訳(?:あり|ござい)ません|すみません|ごめんなさい|恐れ入ります)[^。\n]{0,40}[。、,]?"
    r"[^。\n]{0,40}(?:お手伝い|お答え|お応え|回答|提供|対応|ご?協力)[^。\n]{0,8}?"
    r"(?:できません|できかねます|いたしかねます|することはできません)",
    r"(?:죄송(?:합니다|하지만|해요)|미안(?:합니다|하지만|해요))[^.\n]{0,10}[.,]?[^.\n]{0,40}?"
    r"(?:도와드릴|도울|도움을?_?드릴|답변(?:해_?|을_?)?드릴|답변할|제공(?:해_?드릴|할)|응답할)_?수_?(?:가_?)?없",
)


def _compiled(pattern: str) -> str:
    return pattern.replace("_?", r"\s*").replace("_", r"\s+")


_REFUSAL = re.compile("|".join(f"(?:{_compiled(pattern)})" for pattern in _PATTERNS))
# Where the client asks for a refusal, or for a text with one in it, it is the answer.
_ASKED_FOR = re.compile(
    r"\b(?:refus\w*|declin\w*|reject\w*|apolog\w*|absag\w*|ablehn\w*|ablehnung|refuser|rechaz\w*)\b"
)
_DECORATION = " \t\r\n*_#>-"


def check_refusal(said: Said) -> Check:
    """Fails for an answer that begins with a refusal; None where a refusal was asked for.

    Of an answer that has not ended it says nothing but that.
    """
    if said.tool_calls:
        return Check(name="refusal", ok=True)
    found = _refusal(said.text)
    if not found:
        return Check(name="refusal", ok=True if said.ended else None)
    if any(_mentions_refusal(text) for text in _asked(said)):
        return Check(name="refusal", detail="one was asked for")
    return Check(name="refusal", ok=False, detail=f'"{found}..."')


def _refusal(text: str) -> str:
    """The words of the refusal that `text` begins with, "" for none."""
    opening = _plain(text[: _OPENING * 2].lstrip(_DECORATION)[:_OPENING])
    match = _REFUSAL.match(opening.lower())
    return opening[: min(match.end(), _QUOTED)].strip() if match else ""


def _plain(text: str) -> str:
    """Without emphasis and with single blanks: over long runs of them, the patterns would try each
    length of each run."""
    return " ".join(text.replace("’", "'").replace("*", "").split())


def _mentions_refusal(text: str) -> bool:
    lowered = _plain(text).lower()
    return _ASKED_FOR.search(lowered) is not None or _REFUSAL.search(lowered) is not None


def _asked(said: Said) -> Iterator[str]:
    """What the client wrote last."""
    request = said.request
    if not isinstance(request, ChatRequest):
        yield from (prompt[-4000:] for prompt in request.prompts if isinstance(prompt, str))
        return
    content = next((m.content for m in reversed(request.messages) if m.role == "user"), None)
    if isinstance(content, str):
        yield content[-4000:]
    elif content:
        yield from (part.text[-4000:] for part in content if isinstance(part, TextPart))
