r"""The normal form of an answer's text, before it is read: one spelling for signs, spaces and commands that look alike and mean the same.

Nothing that may change a value is dropped here: a sign without a rule stays, and what the tokens do not know makes the answer unreadable.
"""

from __future__ import annotations

import re

_GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi psi omega "
    "Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega"
)
_SIGNS = {
    **dict.fromkeys("−–—‒﹣－", "-"),
    **dict.fromkeys("×✕✖", r"\times "),
    **dict.fromkeys("·⋅∙•", r"\cdot "),
    **dict.fromkeys("＝", "="),
    **dict.fromkeys("，、﹐", ","),
    **dict.fromkeys("；", ";"),
    **dict.fromkeys("：∶", ":"),
    **dict.fromkeys("（", "("),
    **dict.fromkeys("）", ")"),
    **dict.fromkeys("’‘′＇", "'"),
    **dict.fromkeys("≤⩽≦", r"\le "),
    **dict.fromkeys("≥⩾≧", r"\ge "),
    **dict.fromkeys("\u00a0\u2009\u202f\u2002\u2003\u3000\t", " "),
    **{
        "÷": r"\div ",
        "≠": r"\ne ",
        "≈": r"\approx ",
        "±": r"\pm ",
        "∓": r"\mp ",
        "∞": r"\infty ",
        "°": r"^{\circ}",
        "√": r"\sqrt ",
    },
    **{
        "∪": r"\cup ",
        "∩": r"\cap ",
        "∈": r"\in ",
        "∅": r"\emptyset ",
        "ℝ": r"\mathbb{R}",
        "ℤ": r"\mathbb{Z}",
        "∖": r"\setminus ",
    },
    **{
        "½": r"\frac{1}{2}",
        "⅓": r"\frac{1}{3}",
        "⅔": r"\frac{2}{3}",
        "¼": r"\frac{1}{4}",
        "¾": r"\frac{3}{4}",
        "⅕": r"\frac{1}{5}",
    },
    **{
        "⅙": r"\frac{1}{6}",
        "⅛": r"\frac{1}{8}",
        "⅜": r"\frac{3}{8}",
        "⅝": r"\frac{5}{8}",
        "⅞": r"\frac{7}{8}",
        "″": "''",
    },
    **{
        "∛": r"\sqrt[3]",
        "⌊": r"\lfloor ",
        "⌋": r"\rfloor ",
        "⌈": r"\lceil ",
        "⌉": r"\rceil ",
        "…": r"\ldots ",
        "∣": "|",
    },
    **{chr(0xFF10 + digit): str(digit) for digit in range(10)},
    **{
        letter: rf"\{name} "
        for letter, name in zip(
            "αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΦΨΩ",
            _GREEK.split(),
            strict=True,
        )
    },
}
_TRANSLATION = str.maketrans(_SIGNS)
_RAISED = {**{sign: str(digit) for digit, sign in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")}, "⁻": "-", "⁺": "+", "ⁿ": "n"}
_LOWERED = {sign: str(digit) for digit, sign in enumerate("₀₁₂₃₄₅₆₇₈₉")}
_RAISED_RUN = re.compile(f"[{''.join(_RAISED)}]+")
_LOWERED_RUN = re.compile(f"[{''.join(_LOWERED)}]+")

_LOOKS = re.compile(
    r"\\(?:displaystyle|textstyle|scriptstyle|limits|nolimits|[bB]igg?[lrm]?|[lL]arge|LARGE|[hH]uge|normalsize|small|bf|it|rm|boldmath|hfill)"
    r"(?![A-Za-z])|\\(?:h|v)?phantom\s*\{[^{}]*\}|\\color\s*\{[A-Za-z]+\}|\\(?:left|right)\s*\.|\\middle(?![A-Za-z])"
)
_SIDES = re.compile(r"\\(?:left|right)(?![A-Za-z])\s*")
_SPACES = re.compile(
    r"(?<!\\)\\[,;:!> \n]|~|\\q?quad|\\[hv]space\s*\{[^{}]*\}|\\(?:enspace|thinspace|medspace|thickspace|newline)(?![A-Za-z])|\s+"
)
_PLAIN = re.compile(r"[\d+\-*/^().=]*")
# A number with commas, and behind it what only a number can have.
_GROUPED_NUMBER = re.compile(
    r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?=\.\d|\s*(?:\\(?:text|mbox|mathrm|textrm)\s*\{\s*(?!and|or|,)|\\?%|(?!and|or)[A-Za-z]{2}))"
    r"|(?<=\\\$)\s?\d{1,3}(?:,\d{3})+(?![\d,])|(?<=[}c]\{)\d{1,3}(?:,\d{3})+(?=\})"
)
_ESCAPED = re.compile(r"\\(?=\\[A-Za-z{])")  # of a text whose backslashes are written twice
_MODULE = re.compile(r"(?<![A-Za-z\\])(?:np|math|numpy)\.(?=[a-z])")
_GLUED_OR = re.compile(r"(?<=[\d})])or(?=[A-Za-z](?:\([a-z]\)|_\w)?\s*=)")  # x=1orx=2
_MANY_SPACES = re.compile(" {2,}")
_MATH = re.compile(r"(?<!\\)\$|(?<!\\)\\[()\[\]]")
_COLORED = re.compile(r"\\textcolor\s*\{[A-Za-z]+\}")
_PLAIN_GROUP = re.compile(
    r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|mathsf|mbox|underline|hbox|emph|boxed|fbox)\s*\{\s*(-?[\d.,/]*\d[\d.,/]*)\s*\}"
)
_BOLD = re.compile(r"\\(?:mathbf|boldsymbol|bm|pmb|mathrm)\s*\{([^{}A-Za-z\\]*)\}")  # around signs and digits
_ENDS = re.compile(r"(?:\s|\\\\|(?<![\\.])[.;,](?!\.))+$|(?<!\\)\\$")
_MARKDOWN = re.compile(r"(\*\*|\*|`+|__)(?=\S)([^*`]*?\S)\1")
# 1 000 and 1\,000, {,} and ,\! between groups of three digits: thousands for certain.
_GAP = r"(?:\{,\}|,?\\!\s?|,\s?\\!\s?|\\[,;: ]|~| )"
_THOUSANDS = re.compile(rf"(?<![\d.,])(\d{{1,3}}(?:{_GAP}\s?\d{{3}})+)(?!\d)")
_NUMERAL_GAP = re.compile(rf"{_GAP}\s?")
_E_NOTATION = re.compile(r"(?<![\w.\\}])(\d+(?:\.\d*)?|\.\d+)[eE]([+-]?)0*(\d+)(?![\w.])")
_REPEATING = re.compile(
    r"(?<![\d.])(\d*)\.(\d*)(?:\\(?:overline|bar)\s*\{\s*(\d+)\s*\}|\\(?:overline|bar)\s*(\d)|((?:\\dot\s*\{?\s*\d\s*\}?\s*)+)(?!\d))"
)
_DOTTED = re.compile(r"\d")
_NAMES = {
    "dfrac": "frac",
    "tfrac": "frac",
    "cfrac": "frac",
    "leqslant": "le",
    "leq": "le",
    "geqslant": "ge",
    "geq": "ge",
    "lt": "<",
}
_NAMES |= {
    "gt": ">",
    "neq": "ne",
    "varnothing": "emptyset",
    "to": "rightarrow",
    "dots": "ldots",
    "cdots": "ldots",
    "dotsc": "ldots",
}
_NAMES |= {
    "dotsb": "ldots",
    "vdots": "ldots",
    "lbrace": "{",
    "rbrace": "}",
    "lbrack": "[",
    "rbrack": "]",
    "lvert": "|",
    "rvert": "|",
}
_NAMES |= {
    "vert": "|",
    "mid": "|",
    "colon": ":",
    "ast": "*",
    "div": "/",
    "tbinom": "binom",
    "dbinom": "binom",
    "backslash": "setminus",
}
_NAMES |= {
    "varepsilon": "epsilon",
    "vartheta": "theta",
    "varphi": "phi",
    "approxeq": "approx",
    "simeq": "approx",
    "degree": "circ",
}
_NAMES |= {"lor": "or", "vee": "or", "land": "and", "wedge": "and", "percent": "%", "degrees": "circ", "prime": "prime"}
_COMMAND = re.compile(r"\\([A-Za-z]+)")
_LITERAL = {"<", ">", "[", "]", "|", ":", "*", "/"}


def normal(text: str) -> str:
    """The text in its normal form."""
    if not text.isascii():
        text = _RAISED_RUN.sub(lambda run: "^{" + "".join(_RAISED[sign] for sign in run[0]) + "}", text)
        text = _LOWERED_RUN.sub(lambda run: "_{" + "".join(_LOWERED[sign] for sign in run[0]) + "}", text)
        text = text.translate(_TRANSLATION)
    text = _stripped(text)
    if "*" in text or "`" in text:
        text = _emphasis(text)
    if _PLAIN.fullmatch(text) is None:
        text = _commands(text)
    text = _E_NOTATION.sub(r"\1 \\times 10^{\2\3}", text) if "e" in text or "E" in text else text
    if "." in text and "\\" in text:
        text = _REPEATING.sub(_fraction_of_repeating, text)
    return _stripped(text)


def _stripped(text: str) -> str:
    text = text.strip()
    while (end := _ENDS.search(text)) is not None:
        text = text[: end.start()]
    return text


def _emphasis(text: str) -> str:
    whole = _MARKDOWN.fullmatch(text)
    return whole[2] if whole else text


def _commands(text: str) -> str:
    if "\\\\" in text and "\\begin" not in text:
        text = _ESCAPED.sub("", text)
    text = _MODULE.sub("", text)
    text = _GLUED_OR.sub(r"\\or ", text) if "or" in text else text
    text = _MATH.sub(" ", text)
    text = _THOUSANDS.sub(lambda number: _NUMERAL_GAP.sub("", number[1]), text)
    text = _GROUPED_NUMBER.sub(lambda number: number[0].replace(",", ""), text) if "," in text else text
    text = _LOOKS.sub("", text)
    text = _SIDES.sub("", text)
    text = _COLORED.sub("", text)
    text = _SPACES.sub(" ", text)
    text = _BOLD.sub(r"{\1}", text)
    text = _PLAIN_GROUP.sub(r"{\1}", text)
    text = _COMMAND.sub(_renamed, text)
    return _MANY_SPACES.sub(" ", text)


def _renamed(command: re.Match[str]) -> str:
    name = _NAMES.get(command[1], command[1])
    return name if name in _LITERAL else f"\\{name}"


def _fraction_of_repeating(number: re.Match[str]) -> str:
    r"""``0.1\overline{6}`` as the fraction that it is."""
    whole, fixed = number[1] or "0", number[2]
    period = number[3] or number[4] or "".join(_DOTTED.findall(number[5]))
    scale = 10 ** len(fixed)
    nines = 10 ** len(period) - 1
    above = int(whole + fixed + period) - int(whole + fixed)
    return rf"\frac{{{above}}}{{{scale * nines}}}"


_FOLDS = re.compile(r"\\(?:text|mathrm|textrm|mbox)\s*|[{}\s]|\.$")


def folded(text: str) -> str:
    """What two texts share when they differ in spacing, delimiters and kinds of fraction only; for answers that nobody can read."""
    return _FOLDS.sub("", normal(text))
