"""MathML, as libSBML has read it, to formulas; function definitions are written out where they are called."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import libsbml

from qspx.interchange.expression import Expr, folded, name, number, refolded

AVOGADRO = 6.02214179e23  # the value that SBML Level 3 fixes (section 3.4.6 of Version 2)

Function = tuple[tuple[str, ...], Expr]  # arguments and body
Functions = Mapping[str, Function | Exception]  # an exception where a definition holds what is not taken
Refuse = Callable[[str], Exception]

_PLAIN = {
    getattr(libsbml, f"AST_{kind}_{title}"): title.lower()
    for kind, titles in {
        "FUNCTION": "ABS ARCCOS ARCCOSH ARCCOT ARCCOTH ARCCSC ARCCSCH ARCSEC ARCSECH ARCSIN ARCSINH ARCTAN ARCTANH "
        "CEILING COS COSH COT COTH CSC CSCH EXP FACTORIAL FLOOR LN LOG MAX MIN POWER QUOTIENT REM ROOT SEC SECH SIN "
        "SINH TAN TANH PIECEWISE",
        "LOGICAL": "AND IMPLIES NOT OR XOR",
        "RELATIONAL": "EQ GEQ GT LEQ LT NEQ",
    }.items()
    for title in titles.split()
}
_PLAIN |= {
    libsbml.AST_PLUS: "plus",
    libsbml.AST_MINUS: "minus",
    libsbml.AST_TIMES: "times",
    libsbml.AST_DIVIDE: "divide",
    libsbml.AST_POWER: "power",
}
_NUMBERS = {libsbml.AST_INTEGER, libsbml.AST_REAL, libsbml.AST_REAL_E, libsbml.AST_RATIONAL}
_CONSTANTS = {
    libsbml.AST_CONSTANT_E: math.e,
    libsbml.AST_CONSTANT_PI: math.pi,
    libsbml.AST_NAME_AVOGADRO: AVOGADRO,
}
_ARGUMENTS = {"minus": (1, 2), "divide": (2, 2), "power": (2, 2), "quotient": (2, 2), "rem": (2, 2), "implies": (2, 2)}
_ARGUMENTS |= {"root": (1, 2), "log": (1, 2), "piecewise": (1, math.inf), "max": (1, math.inf), "min": (1, math.inf)}
_ANY_NUMBER = {"plus", "times", "and", "or", "xor", "eq", "neq", "gt", "lt", "geq", "leq"}


def read_math(node: Any, functions: Functions, refuse: Refuse) -> Expr:
    """The formula in a libSBML `ASTNode`. `refuse` makes the exception for a construct that is not taken."""
    kind = node.getType()
    if kind in _NUMBERS:
        return number(_value(node))
    if kind in _CONSTANTS:
        return number(_CONSTANTS[kind])
    if kind in (libsbml.AST_CONSTANT_TRUE, libsbml.AST_CONSTANT_FALSE):
        return Expr("boolean", value=kind == libsbml.AST_CONSTANT_TRUE)
    if kind == libsbml.AST_NAME_TIME:
        return Expr("time")
    if kind == libsbml.AST_NAME:
        return name(node.getName())
    if kind == libsbml.AST_FUNCTION_DELAY:
        raise refuse("the csymbol `delay` (a value in the past) is not supported")
    children = [node.getChild(i) for i in range(node.getNumChildren())]
    args = tuple(read_math(child, functions, refuse) for child in children)
    if kind == libsbml.AST_FUNCTION_RATE_OF:
        if len(args) == 1 and args[0].op == "name":
            return Expr("rateOf", value=args[0].value)
        raise refuse("`rateOf` must have one id as its argument")
    if kind == libsbml.AST_FUNCTION:
        return _called(node.getName(), args, functions, refuse)
    if kind not in _PLAIN:
        shown = libsbml.formulaToL3String(node) or node.getName() or f"kind {kind}"
        raise refuse(f"the formula holds `{shown}`, which is not supported")
    op = _PLAIN[kind]
    low, high = (0, math.inf) if op in _ANY_NUMBER else _ARGUMENTS.get(op, (1, 1))
    if not low <= len(args) <= high:
        raise refuse(f"`{op}` has {len(args)} arguments")
    if op == "root" and len(args) == 1:
        args = (number(2.0), *args)
    if op == "log" and len(args) == 1:
        args = (number(10.0), *args)
    return folded(Expr(op, args))


def _value(node: Any) -> float:
    if node.getType() == libsbml.AST_INTEGER:
        return float(node.getInteger())
    if node.getType() == libsbml.AST_RATIONAL:
        return node.getNumerator() / node.getDenominator()
    if node.getType() == libsbml.AST_REAL_E:
        return float(f"{node.getMantissa()!r}e{node.getExponent()}")  # one rounding, not two
    return float(node.getReal())


def _called(title: str, args: tuple[Expr, ...], functions: Functions, refuse: Refuse) -> Expr:
    if title not in functions:
        raise refuse(f"the function `{title}` is not defined, or has no formula")
    found = functions[title]
    if isinstance(found, Exception):
        raise found
    formal, body = found
    if len(formal) != len(args):
        raise refuse(f"the function `{title}` takes {len(formal)} arguments, but is given {len(args)}")
    return refolded(body.with_names(dict(zip(formal, args, strict=True))))


def read_function(node: Any, functions: Functions, refuse: Refuse) -> Function:
    """Arguments and body of a `lambda`."""
    count = node.getNumBvars()
    formal = tuple(node.getChild(i).getName() for i in range(count))
    if node.getNumChildren() == count:
        raise refuse("the `lambda` has no body")
    return formal, read_math(node.getChild(node.getNumChildren() - 1), functions, refuse)
