"""The words that the complexity rules look for. Pure.

English, as the labelled prompts are by which the rules were weighed; in other languages the rules
go by length, numbers, symbols, code and by the language itself.
"""

from __future__ import annotations

_WORDS = {
    # What an answer must hold to, or what may be overlooked in a question.
    # What is easily overlooked, the more so by small models.
    "negation": """
        not no never neither nor none without except excluding cannot unless least avoid false
        incorrect incorrectly wrong untrue""",
    # What an answer must hold to.
    "constraint": """
        only exactly must should shall may most if whether when whenever suppose assuming assume
        given provided every all each any both either always otherwise however although but include
        ensure true""",
    "comparison": """
        more less fewer greater larger smaller higher lower than many much same different between
        versus compared twice half double triple third""",
    "quantity": "percent average ratio total remaining rest left per times fraction probability",
    "reasoning": """
        why explain prove derive deduce analyze analyse evaluate compare contrast justify argue
        discuss design plan optimize optimise debug refactor diagnose critique summarize summarise
        infer conclude""",
    "mathematics": """
        equation equations integral derivative theorem lemma proof polynomial matrix matrices
        eigenvalue vector vectors modulo calculus algebra geometry trigonometry logarithm
        probability permutation permutations combinatorics""",
    "code": """
        python javascript typescript java rust golang kotlin sql bash regex html css function
        algorithm code program script compile compiler api json yaml dockerfile kubernetes
        unittest bug debug refactor stacktrace""",
}
# A word of two kinds counts for the later one.
KINDS = {word: kind for kind, words in _WORDS.items() for word in words.split()}

_ENGLISH = "the of and to is in that it you for are with this what how a"
ENGLISH = frozenset(_ENGLISH.split())
OTHER_LANGUAGES = tuple(
    frozenset(words.split())
    for words in (
        "der die das und nicht ist ein eine wie ich zu den mit für auf von",
        "le la les des est et une que pour dans qui pas je vous du un",
        "el los las una que para con por es cómo qué del y se un",
        "il che di per non una sono con come gli della è un",
        "o os as um uma que não para com por como é do da",
        "de het een van en niet is dat voor hoe ik te met",
        "nie jest się w z na do co jak i to czy",
        "bir ve bu için nasıl ne ile da de mi",
    )
)
