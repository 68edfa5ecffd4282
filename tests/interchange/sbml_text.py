"""Small SBML files for the tests, written here."""

from __future__ import annotations

MATH = 'xmlns="http://www.w3.org/1998/Math/MathML"'


def level_3(body: str, attributes: str = "") -> str:
    """An SBML Level 3 Version 2 file around the lists of a model."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<sbml xmlns="http://www.sbml.org/sbml/level3/version2/core" level="3" version="2"{attributes}>\n'
        f'<model id="m">\n{body}\n</model>\n</sbml>\n'
    )


def level_2(body: str) -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<sbml xmlns="http://www.sbml.org/sbml/level2/version4" level="2" version="4">\n'
        f'<model id="m">\n{body}\n</model>\n</sbml>\n'
    )


def parameter(key: str, value: float | None, *, constant: bool = False, units: str = "") -> str:
    given = "" if value is None else f' value="{value}"'
    unit = f' units="{units}"' if units else ""
    return f'<parameter id="{key}"{given}{unit} constant="{str(constant).lower()}"/>'


def math(inner: str) -> str:
    return f"<math {MATH}>{inner}</math>"


def apply(op: str, *args: str) -> str:
    return f"<apply><{op}/>{''.join(args)}</apply>"


def ci(key: str) -> str:
    return f"<ci>{key}</ci>"


def cn(value: float) -> str:
    return f"<cn>{value}</cn>"


TIME = '<csymbol encoding="text" definitionURL="http://www.sbml.org/sbml/symbols/time">time</csymbol>'


def rule(kind: str, key: str, inner: str) -> str:
    return f'<{kind} variable="{key}">{math(inner)}</{kind}>'


def parameters_and_rules(parameters: list[str], rules: list[str]) -> str:
    """A Level 3 file of parameters and rules."""
    lists = f"<listOfParameters>{''.join(parameters)}</listOfParameters>"
    return level_3(lists + (f"<listOfRules>{''.join(rules)}</listOfRules>" if rules else ""))
