r"""How an answer's text is rewritten before it is parsed: notations that Math-Verify 0.9.0 misreads, on both sides alike.

Each rule names what goes wrong without it. Units, percent signs, ``\text``, ``\left``, ``\frac12`` and thousands commas are
Math-Verify's own.

Wrong accepts of Math-Verify that remain: a base is dropped (52 in base 8 is 52), 10 % is 10 as well as 0.1, and a letter behind an answer
is taken for a unit where the gold has none (5 m is 5). A degree sign is a unit, within a sine too. A decimal comma is a separator.
"""

from __future__ import annotations

import re

_GAP = r"(?:\\[,!;: ]|\{,\}|,\\!|~|[ \u00a0\u2009\u202f])\s*"

_RULES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        # Dollar signs and the delimiters of inline mathematics inside a box; `\$` is a currency and goes too.
        (r"\\?\$|\\[()]", ""),
        # A full stop or a line break at the end.
        (r"[.\\\s]+$", ""),
        # `30°` does not parse, and in `\circ` it is a unit like others: `336^\circ` is 336.
        (r"\s*(?:°|\^?\s*\{?\s*\\circ\s*\}?|\\degrees?\b)", ""),
        # `1 000` reads as 1*0 and `1\,000` as 1 + 0; between digits in groups of three these are thousands.
        (rf"(?<![\d.,])(\d{{1,3}}){_GAP}(\d{{3}}){_GAP}(\d{{3}}){_GAP}(\d{{3}})(?!\d)", r"\1\2\3\4"),
        (rf"(?<![\d.,])(\d{{1,3}}){_GAP}(\d{{3}}){_GAP}(\d{{3}})(?!\d)", r"\1\2\3"),
        (rf"(?<![\d.,])(\d{{1,3}}){_GAP}(\d{{3}})(?!\d)", r"\1\2"),
        # `3e6` reads as 3 * e * 6, and as 3 without a box.
        (r"(?<![\w.\\}])(\d+(?:\.\d*)?|\.\d+)[eE]([+-]?)0*(\d+)(?![\w.])", r"\1 \\times 10^{\2\3}"),
        # `-1./3` does not parse.
        (r"(?<=\d)\.(?![\d.])", ".0"),
        # Upright e and i are the constants; `\frac{1}{\mathrm{e}}` does not parse.
        (r"\\(?:mathrm|text|textrm|operatorname)\s*\{\s*([ei])\s*\}", r"{\1}"),
        # `\arcsin` without its backslash, or as code writes it, reads as a product of letters.
        (r"(?<![\\A-Za-z])(?:np\.|math\.)?((?:arc)?(?:sin|cos|tan)|ln|log|exp)(?=\s*\()", r"\\\1"),
        # A command as an index does not parse: `L_{\odot}`, `m_{\max }`.
        (r"_\s*\{\s*\\(odot|oplus|max|min|infty|text|mathrm)\s*\}", r"_{\1}"),
        (r"_\s*\\(odot|oplus|max|min|infty)(?![A-Za-z])", r"_{\1}"),
        # `\gamma` reads as the gamma function of what follows: `2\gamma+1` is 3.
        (r"\\gamma(?![A-Za-z])", r"\\mathcal{g}"),
        # An index makes E and I names and not the constants, which the parser does not see: `E_{0}`.
        (r"(?<![\\A-Za-z])([EI])\s*_", r"\\mathcal{\1}_"),
    )
)


def rewrite(text: str) -> str:
    """The text with all rules applied, in order."""
    text = text.strip()
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text.strip()


_LAST_LETTER = re.compile(r"(?<![A-Za-z\\])[A-Za-z]$")


def keep_last_letter(gold: str, answer: str) -> tuple[str, str]:
    """Both rewritten texts, with the letter that ends the gold in braces at the end of either.

    Math-Verify takes a letter at the end for a unit and drops it, so that `6m` and `\\frac{1}{m} t` would be 6 and 1/m. In the golds of the
    benchmarks units are words in `\\text`, and a last letter is always a variable.
    """
    letter = _LAST_LETTER.search(gold)
    if letter is None:
        return gold, answer
    bare = re.compile(rf"(?<![A-Za-z\\]){letter[0]}$")
    return bare.sub(f"{{{letter[0]}}}", gold), bare.sub(f"{{{letter[0]}}}", answer)


_LOOKS = re.compile(r"\\left|\\right|\\[ ,!;:]|\\?\$|\s|\.$")


def folded(text: str) -> str:
    """What two texts share when they differ in spacing, delimiters and kinds of fraction only; for golds that no parser can read."""
    return _LOOKS.sub("", text).replace("dfrac", "frac").replace("tfrac", "frac").replace("{", "").replace("}", "")
