"""Equations as one line of plain text: `C·koff_CD3·(R − p_4)/KD_CD3`, compact where a network has many of them.

Reads the part of LaTeX that the model's own printer writes (fractions, roman names, subscripts, powers, brackets,
products set apart by thin spaces). Anything else is refused, so that nothing is printed that is not in the equation.
"""

from __future__ import annotations

import re

_TOKEN = re.compile(r"\\(?:[A-Za-z]+|[,;!: ])|[{}_^]|[A-Za-z]+|\d+(?:\.\d+)?|[-+=()\[\]/*,.|]|\s+|.", re.DOTALL)
_SPACES = (r"\,", r"\;", r"\ ", r"\:", r"\quad")
_GREEK = frozenset(
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi psi "
    "omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega".split()
)
_FUNCTIONS = frozenset("exp log ln sqrt min max sin cos tanh".split())
_FONTS = (r"\mathrm", r"\mathit", r"\text", r"\operatorname", r"\mathtt")


class NotPlain(ValueError):
    """The equation uses LaTeX that has no plain form here."""


class _Reader:
    """Recursive descent over the tokens of one equation."""

    def __init__(self, latex: str):
        self.tokens, self.at = _TOKEN.findall(latex), 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        self.at += 1
        return self.tokens[self.at - 1] if self.at <= len(self.tokens) else ""

    def group(self) -> str:
        """The content of `{…}`, or the one token that stands in its place."""
        while self.peek().isspace():
            self.take()
        if self.peek() != "{":
            return self.atom(self.take())
        self.take()
        inside = self.read("}")
        self.take()
        return inside

    def read(self, end: str = "") -> str:
        """Everything up to `end` (which is not taken). A space between two factors becomes a multiplication dot."""
        words, last = "", ""
        while self.peek() != end:
            token = self.take()
            if not token:
                raise NotPlain(f"unbalanced: no {end}")
            if token.isspace() or token in _SPACES:
                last = last or " "
                continue
            piece = self.operator(token) or self.atom(token)
            factor = bool(re.match(r"[\w(]", piece)) and token != r"\right"
            if last and factor and re.search(r"[\w)]$", words):
                words += "·"
            words, last = words + piece, ""
        return words.strip()

    def operator(self, token: str) -> str:
        if token in ("+", "-", "="):
            return f" {token.replace('-', '−')} "
        return "·" if token in (r"\cdot", r"\times", "*") else ""

    def atom(self, token: str) -> str:
        if token in ("_", "^"):
            return self.script(token)
        if token == "{":
            self.at -= 1
            return self.group()
        if token == r"\frac" or token == r"\dfrac":
            return self.fraction()
        if token in (r"\left", r"\right"):
            return self.take()
        if token in _FONTS:
            return self.group()
        name = token.removeprefix("\\")
        if token.startswith("\\") and name not in _GREEK | _FUNCTIONS:
            raise NotPlain(f"{token} has no plain form")
        if not (name.isalnum() or re.fullmatch(r"[()\[\]/,.]|\d+\.\d+", name)):
            raise NotPlain(f"{token} has no plain form")
        return f"{name}({self.group()})" if name == "sqrt" else name

    def script(self, mark: str) -> str:
        inside = self.group()
        if mark == "_":
            return "_" + re.sub(r"[,·\s]+", "_", inside)
        return f"^{inside}" if re.fullmatch(r"[\w.]+", inside) else f"^({inside})"

    def fraction(self) -> str:
        above, below = self.group(), self.group()
        above = f"({above})" if _has(above, " +−=") else above
        return f"{above}/({below})" if _has(below, " +−·/") else f"{above}/{below}"


def _has(words: str, operators: str) -> bool:
    """Whether one of `operators` stands outside all brackets of `words`."""
    depth = 0
    for letter in words:
        depth += (letter in "([") - (letter in ")]")
        if depth == 0 and letter in operators:
            return True
    return False


def plain(latex: str) -> str:
    """`latex` as plain text. Raises NotPlain (a ValueError) for LaTeX that it does not know."""
    words = _Reader(latex.strip().strip("$")).read()
    return re.sub(r"(^|\(|= ) ?([−+]) ", r"\1\2", re.sub(r" {2,}", " ", words)).strip()
