"""Units at the boundary: read them, compare them, and get the plain float that converts one into another.

A [`Unit`][qspx.units.Unit] is a factor to SI base units and the exponents of its dimensions. Nothing here reaches the
hot path: a model is checked once, and arrays carry no units.

What differs from general-purpose unit libraries, because pharmacology needs it:

- `cell`, `molecule`, `copy`, `IU`, `EU`, `Eq` and `AU` (arbitrary unit) are dimensions of their own, so a receptor
  number per cell times a cell density does not silently become a dimensionless number. Write the Avogadro constant
  as a parameter in `molecule/nmol` where it is needed.
- `Da` is g/mol (the molar mass of a protein of 150 kDa is 150 kg/mol), not the mass of one particle.
- `M` is mol/L, `mcg` is a microgram, `BSA` is 1.73 m^2, `%` is 0.01, `mo` is a twelfth of 365.25 days.
- `mg/kg` is mass per mass: its dimensions cancel, its factor (1e-6) stays. Doses per body weight are recognised by
  `split_per_kg`, and `conversion` refuses to turn `mg/kg` into a plain number.
- `U` is refused (enzyme unit or international unit?), and so is `mg/kg day` (is `day` above or below the line?).

Names outside the table in `_unit_names` are looked up with pint, which is imported only then.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache

from ._errors import UnitError, closest
from ._unit_names import AMOUNT, MASS, PLAIN, PREFIXABLE, Dims, atom


def _merge(pairs: Iterable[tuple[str, Fraction]]) -> dict[str, Fraction]:
    total: dict[str, Fraction] = {}
    for name, exponent in pairs:
        total[name] = total.get(name, Fraction(0)) + exponent
    return {name: exponent for name, exponent in total.items() if exponent}


@dataclass(frozen=True, eq=False)
class Unit:
    """A unit: `factor` to SI base units and `dims`, sorted pairs (dimension, exponent).

    `text` is the unit as written and takes no part in `==`. Two units are equal when their dimensions are equal and
    their factors agree to 1e-9, so `Unit` tells nM/h from nM/day, and `nmol/L` equals `nM`.
    `*`, `/` and `**` (with a number) build new units.
    """

    factor: float
    dims: Dims = ()
    text: str = ""
    atoms: Dims = field(default=(), repr=False)  # (spelling, exponent), only to print products readably

    @property
    def dimensionless(self) -> bool:
        """True when all dimensions cancel; the factor may differ from 1 (`%`, `mg/kg`, `h/day`)."""
        return not self.dims

    @property
    def is_one(self) -> bool:
        """True for a pure number: dimensionless with factor 1."""
        return not self.dims and math.isclose(self.factor, 1.0, rel_tol=1e-9)

    def same_dimension(self, other: Unit) -> bool:
        """True when a plain factor converts one into the other."""
        return self.dims == other.dims

    def __eq__(self, other) -> bool:
        if not isinstance(other, Unit):
            return NotImplemented
        return self.dims == other.dims and math.isclose(self.factor, other.factor, rel_tol=1e-9)

    def __hash__(self) -> int:
        return hash(self.dims)  # factors that are equal only to rounding must hash alike

    def __mul__(self, other: Unit) -> Unit:
        if not isinstance(other, Unit):
            return NotImplemented
        return _build(self.factor * other.factor, (*self.dims, *other.dims), (*self.atoms, *other.atoms))

    def __truediv__(self, other: Unit) -> Unit:
        if not isinstance(other, Unit):
            return NotImplemented
        return self * other**-1

    def __pow__(self, exponent) -> Unit:
        power = Fraction(exponent).limit_denominator(1000)
        if not math.isclose(float(power), float(exponent), rel_tol=1e-12):
            power = Fraction(float(exponent))  # an irrational exponent: keep the float exactly
        dims, atoms = ([(name, value * power) for name, value in pairs] for pairs in (self.dims, self.atoms))
        return _build(self.factor ** float(power), dims, atoms)

    def __str__(self) -> str:
        return self.text or "dimensionless"


def _build(factor: float, dims: Iterable[tuple[str, Fraction]], atoms: Iterable[tuple[str, Fraction]]) -> Unit:
    merged = tuple(_merge(_same_spelling(atoms)).items())
    return Unit(factor, tuple(sorted(_merge(dims).items())), _written(merged), merged)


def _same_spelling(atoms: Iterable[tuple[str, Fraction]]) -> Iterable[tuple[str, Fraction]]:
    """One spelling for `hr` and `h` within a product, so that they cancel when it is printed; numbers stay."""
    first: dict[tuple[float, Dims], str] = {}
    for name, exponent in atoms:
        meaning = (0.0, ()) if name[0] in ".0123456789" else atom(name)
        key = (float(f"{meaning[0]:.12g}"), meaning[1])
        yield (first.setdefault(key, name) if meaning[1] else name), exponent


def _written(atoms: Iterable[tuple[str, Fraction]]) -> str:
    """`nM/day`, `1/nM/day`, `L^2/mg`: numerator first, then one slash per factor below the line."""

    def power(name: str, exponent: Fraction) -> str:
        if exponent == 1:
            return name
        if exponent.denominator > 1000:
            return f"{name}^{float(exponent):.6g}"
        return f"{name}^{exponent}" if exponent.denominator == 1 else f"{name}^({exponent})"

    atoms = list(atoms)
    above = "*".join(power(name, exponent) for name, exponent in atoms if exponent > 0)
    below = "".join("/" + power(name, -exponent) for name, exponent in atoms if exponent < 0)
    return (above or ("1" if below else "")) + below


# --------------------------------------------------------------------------------------------------------------
# Reading

_NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_NAME = r"[^\W\d_]+(?:_[^\W\d]+)*|%|°[CF]|Å"
_TOKEN = re.compile(rf"(?P<number>{_NUMBER})|(?P<name>{_NAME})|(?P<power>\*\*|\^)|(?P<op>[*/()+-])|(?P<space>\s+)")
_SUPERSCRIPT = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")


def _tokens(text: str) -> list[tuple[str, str, bool]]:
    """(kind, text, glued): `glued` is True when no space stands before the token."""
    out, position, glued = [], 0, True
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise KeyError(f"`{text[position]}` is not understood")
        position = match.end()
        if match.lastgroup == "space":
            glued = False
            continue
        out.append((str(match.lastgroup), match.group(), glued))
        glued = True
    return out


class _Reader:
    """Recursive descent over `product := power (("*" | "/" | " ") power)*`, `power := base ("^" exponent)?`."""

    def __init__(self, text: str):
        self.tokens, self.at = _tokens(text), 0
        self.after_number = False  # `1e6cell` needs no space, `Lmg` and `L2mg` do

    def peek(self) -> tuple[str, str, bool]:
        return self.tokens[self.at] if self.at < len(self.tokens) else ("end", "", False)

    def take(self) -> tuple[str, str, bool]:
        token = self.peek()
        self.at += 1
        return token

    def product(self) -> Unit:
        result, below = self.power(), False
        while True:
            kind, text, glued = self.peek()
            if text == "/":
                self.take()
                result, below = result / self.power(), True
            elif text == "*":
                self.take()
                result = result * self.power()
            elif kind in ("name", "number") or text == "(":
                if glued and not self.after_number:
                    raise KeyError(f"write a `*`, `/` or a space before `{text}`")
                if below:
                    raise KeyError(f"is `{text}` above or below the line? Write `*{text}` or `/{text}`")
                result = result * self.power()
            else:
                return result

    def power(self) -> Unit:
        kind, text, _ = self.take()
        if text == "(":
            base = self.product()
            if self.take()[1] != ")":
                raise KeyError("a parenthesis is not closed")
        elif kind == "number":
            if not float(text) > 0:
                raise KeyError(f"the factor `{text}` is not positive")
            base = _build(float(text), (), () if float(text) == 1 else ((text, Fraction(1)),))
        elif kind == "name":
            base = _build(*atom(text), ((text, Fraction(1)),))
        else:
            raise KeyError(f"a unit is missing before `{text}`" if text else "it ends where a unit is expected")
        self.after_number = kind == "number"
        next_kind, next_text, glued = self.peek()
        if next_kind == "power":
            self.take()
            return base ** self.exponent()
        if kind == "name" and glued and (next_kind == "number" or next_text in "+-" and next_text):
            return base ** self.exponent()  # `m2`, `s-1`
        return base

    def exponent(self) -> Fraction:
        sign = 1
        kind, text, _ = self.take()
        if text == "(":
            value = self.exponent()
            if self.peek()[1] == "/":
                self.take()
                value /= self.exponent()
            if self.take()[1] != ")":
                raise KeyError("a parenthesis is not closed")
            return value
        if text in ("+", "-"):
            sign = -1 if text == "-" else 1
            kind, text, _ = self.take()
        if kind != "number":
            raise KeyError(f"`{text}` is not an exponent")
        if float(text) == 0:
            raise KeyError("an exponent is 0")
        return sign * Fraction(text)


@cache
def _read(text: str) -> Unit:
    clean = text.strip().replace("·", "*").replace("⋅", "*").replace("×", "*")
    if clean in ("", "1", "-"):
        return Unit(1.0)
    clean = re.sub(r"1\.73\s*m\s*(?:(?:\*\*|\^)\s*2|2|²)", "BSA", clean)
    clean = re.sub(r"[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+", lambda match: "^" + match.group().translate(_SUPERSCRIPT), clean)
    try:
        reader = _Reader(clean)
        found = reader.product()
        if reader.peek()[0] != "end":
            raise KeyError(f"`{reader.peek()[1]}` is out of place")
    except KeyError as error:
        hint = closest(clean, (*PLAIN, *PREFIXABLE)) if re.fullmatch(r"\w{2,}", clean) else ""
        raise UnitError(f"Cannot read the unit `{text}`: {error.args[0]}.{hint}") from error
    except UnitError as error:
        raise UnitError(f"Cannot read the unit `{text}`: {error}") from error
    return Unit(found.factor, found.dims, text.strip(), found.atoms)


def unit(text: str | Unit) -> Unit:
    """The `Unit` written as `text`, e.g. `"nM"`, `"mL/day/kg"`, `"1/nM/day"`, `"nM^-1*s^-1"`, `"1e6 cell/mL"`, `""`.

    `""`, `"1"` and `"-"` are dimensionless. A `Unit` passes through. Raises `UnitError` naming the text.
    """
    if isinstance(text, Unit):
        return text
    if not isinstance(text, str):
        raise UnitError(f'A unit must be text such as "nM/day", but is {text!r} ({type(text).__name__}).')
    return _read(text)


# --------------------------------------------------------------------------------------------------------------
# Converting


def _conversion(from_unit: Unit, to_unit: Unit, molar_mass: float | None) -> float:
    source, target, ratio = from_unit.text, to_unit.text, from_unit / to_unit
    if not ratio.dims:
        for one, other in ((source, target), (target, source)):
            if not from_unit.dims and _is_per_kg(one) and "/" not in other:
                raise UnitError(
                    f"Cannot convert `{source}` to `{target}`: a dose per kg body weight is no plain number. Multiply "
                    "by the body weight (see `split_per_kg`)."
                )
        return ratio.factor
    powers = dict(ratio.dims)
    mass = powers.get(MASS, Fraction(0))
    if set(powers) == {MASS, AMOUNT} and powers[AMOUNT] == -mass:
        if molar_mass is None:
            raise UnitError(
                f"Cannot convert `{source}` to `{target}` without a molar mass: give `molar_mass` in g/mol."
            )
        return ratio.factor / (molar_mass * 1e-3) ** float(mass)
    hint = ""
    if _is_per_kg(source) != _is_per_kg(target):
        hint = " One of them is per kg body weight: multiply or divide by the body weight first."
    elif {"molecule", AMOUNT} <= set(powers):
        hint = " Molecules and moles are kept apart: multiply by 6.02214076e14 molecule/nmol."
    dimension = _written(ratio.dims) or "1"
    raise UnitError(f"Cannot convert `{source}` to `{target}`: their ratio has dimension {dimension}.{hint}")


def _is_per_kg(text: str) -> bool:
    return "kg" in text and split_per_kg(text.replace("(", "").replace(")", ""))[1]


def _clean(factor: float) -> float:
    """Undo the rounding of chained factors: 999.9999999999999 is 1000."""
    short = float(f"{factor:.12g}")
    return short if abs(short - factor) <= 1e-14 * abs(factor) else factor


def conversion(from_unit: str | Unit, to_unit: str | Unit, *, molar_mass: float | None = None) -> float:
    """The number that a value in `from_unit` is multiplied by to be in `to_unit`.

    `molar_mass` (g/mol) lets mass become amount and back, also inside a product (`ug/mL` to `nM`, `mg` to `nmol`).
    Raises `UnitError` naming both units when no factor converts them, when a molar mass is needed and missing, or when
    it is not a positive number.
    """
    if molar_mass is not None:
        molar_mass = float(molar_mass)
        if not (math.isfinite(molar_mass) and molar_mass > 0):
            raise UnitError(f"Argument `molar_mass` must be a positive number in g/mol, but is {molar_mass}.")
    return _clean(_conversion(unit(from_unit), unit(to_unit), molar_mass))


def split_per_kg(text: str) -> tuple[str, bool]:
    """Take a division by body weight off a unit: `"ug/kg"` gives `("ug", True)`, `"mg"` gives `("mg", False)`.

    `"mL/h/kg"` gives `("mL/h", True)`. Raises `UnitError` for `mg/(kg*day)`; write `mg/kg/day`.
    """
    written = str(unit(text)) if text else ""
    if re.search(r"/\s*\([^)]*\bkg\b", written):
        raise UnitError(f"Cannot take the body weight off `{text}`: write one slash per factor, e.g. `mg/kg/day`.")
    pattern = r"\s*/\s*kg(?!\w|\^|\*\*)|\s*[*·]?\s*\bkg\s*(?:\^|\*\*)?\s*(?:\(-1\)|-1|⁻¹)"
    rest, count = re.subn(pattern, "", written, count=1)
    if not count:
        return ("" if not text else str(text), False)
    rest = rest.strip().lstrip("*· ")
    rest = "1" + rest if rest.startswith("/") else rest or "1"
    unit(rest)  # what is left must still be a unit
    return rest, True
