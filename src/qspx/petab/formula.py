"""Formulas of PEtab tables: text to expressions, and expressions to functions of jax.

The text is rewritten as Python, which reads it: `^` is a power, `&&`, `||` and `!` are logic, and names are marked so
that none is a keyword.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
from jax.scipy.special import gammaln

from qspx.interchange.errors import InterchangeError
from qspx.interchange.expression import Expr, name, number, refolded
from qspx.interchange.python_math import Printer

_TOKEN = re.compile(r"(?P<number>(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?)|(?P<name>[A-Za-z_]\w*)|(?P<sign>&&|\|\||!(?!=)|\^)")
_SIGNS = {"&&": " and ", "||": " or ", "!": " not ", "^": "**"}
_PREFIX = "n_"
_FUNCTIONS = {
    "abs": "abs", "exp": "exp", "ln": "ln", "sin": "sin", "cos": "cos", "tan": "tan", "sinh": "sinh", "cosh": "cosh",
    "tanh": "tanh", "arcsin": "arcsin", "asin": "arcsin", "arccos": "arccos", "acos": "arccos", "arctan": "arctan",
    "atan": "arctan", "arcsinh": "arcsinh", "asinh": "arcsinh", "arccosh": "arccosh", "acosh": "arccosh",
    "arctanh": "arctanh", "atanh": "arctanh", "sec": "sec", "csc": "csc", "cot": "cot", "floor": "floor",
    "ceil": "ceiling", "ceiling": "ceiling",
}  # fmt: skip
_BINARY = {ast.Add: "plus", ast.Sub: "minus", ast.Mult: "times", ast.Div: "divide", ast.Pow: "power"}
_COMPARED = {ast.Eq: "eq", ast.NotEq: "neq", ast.Lt: "lt", ast.LtE: "leq", ast.Gt: "gt", ast.GtE: "geq"}
_CONSTANTS = {"inf": math.inf, "pi": math.pi}


def read_formula(text: str, known: Callable[[str], bool] = lambda name: False) -> Expr:
    """The formula in `text`. `known` says which names stand for something else than the constants `pi`, `inf`, `true`
    and `false`.

    Raises `InterchangeError` where it cannot be read."""

    def rewritten(match: re.Match[str]) -> str:
        if match["sign"]:
            return _SIGNS[match["sign"]]
        return match["number"] or _PREFIX + match["name"]

    try:
        tree = ast.parse(_TOKEN.sub(rewritten, text.strip()), mode="eval").body
        return refolded(_Reader(known).of(tree))
    except (SyntaxError, ValueError, KeyError) as error:
        reason = str(error) if isinstance(error, InterchangeError) else "it cannot be read"
        raise InterchangeError(f"the formula {text!r}: {reason}") from None


class _Reader:
    def __init__(self, known: Callable[[str], bool]):
        self.known = known

    def of(self, node: ast.AST) -> Expr:
        match node:
            case ast.Constant(value=int() | float() as value):
                return number(float(value))
            case ast.Name(id=text):
                return self._name(text.removeprefix(_PREFIX))
            case ast.UnaryOp(op=ast.USub()):
                return Expr("minus", (self.of(node.operand),))
            case ast.UnaryOp(op=ast.UAdd()):
                return self.of(node.operand)
            case ast.UnaryOp(op=ast.Not()):
                return Expr("not", (self.of(node.operand),))
            case ast.BinOp():
                return Expr(_BINARY[type(node.op)], (self.of(node.left), self.of(node.right)))
            case ast.BoolOp():
                return Expr("and" if isinstance(node.op, ast.And) else "or", tuple(map(self.of, node.values)))
            case ast.Compare():
                sides = [self.of(side) for side in (node.left, *node.comparators)]
                pairs = zip(node.ops, sides, sides[1:], strict=False)
                found = tuple(Expr(_COMPARED[type(op)], (a, b)) for op, a, b in pairs)
                return found[0] if len(found) == 1 else Expr("and", found)
            case ast.Call(func=ast.Name(id=text), keywords=[]):
                return self._call(text.removeprefix(_PREFIX), tuple(map(self.of, node.args)))
        raise InterchangeError(f"`{ast.unparse(node).replace(_PREFIX, '')}` has no meaning in a formula")

    def _name(self, text: str) -> Expr:
        if self.known(text):
            return name(text)
        if text == "time":
            return Expr("time")
        if text in ("true", "false"):
            return Expr("boolean", value=text == "true")
        return number(_CONSTANTS[text]) if text in _CONSTANTS else name(text)

    def _call(self, text: str, args: tuple[Expr, ...]) -> Expr:
        if text in _FUNCTIONS and len(args) == 1:
            return Expr(_FUNCTIONS[text], args)
        match text, len(args):
            case "log", 1:
                return Expr("ln", args)
            case (("log2" | "log10"), 1):
                return Expr("log", (number(float(text[3:])), *args))
            case "log", 2:
                return Expr("log", (args[1], args[0]))
            case "sqrt", 1:
                return Expr("root", (number(2.0), *args))
            case (("pow" | "power"), 2):
                return Expr("power", args)
            case (("min" | "max"), n) if n:
                return Expr(text, args)
            case "sign", 1:
                below = Expr("piecewise", (number(-1.0), Expr("lt", (args[0], number(0.0))), number(0.0)))
                return Expr("piecewise", (number(1.0), Expr("gt", (args[0], number(0.0))), below))
            case "heaviside", n if n in (1, 2):
                at_zero = args[1] if n == 2 else number(0.5)
                above = Expr("piecewise", (number(1.0), Expr("gt", (args[0], number(0.0))), at_zero))
                return Expr("piecewise", (number(0.0), Expr("lt", (args[0], number(0.0))), above))
            case "piecewise", n if n:
                return Expr("piecewise", args)
        raise InterchangeError(f"there is no function `{text}` with {len(args)} arguments")


def compiled(e: Expr) -> Callable[[Mapping[str, Any], Any], Any]:
    """The formula as a function of the values of its names, and of time. Traceable."""
    text = Printer(lambda leaf: f"v[{str(leaf.value)!r}]").number(e)
    code = compile(text, "<formula>", "eval")

    def run(v: Mapping[str, Any], t: Any) -> Any:
        return jnp.asarray(eval(code, {"jnp": jnp, "gammaln": gammaln}, {"v": v, "t": t}), float)

    return run
