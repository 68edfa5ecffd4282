"""What is wrong with an experiment file, in the words of the file: key path, value, what is expected."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from qspx._errors import closest


def describe(error: ValidationError, document: Any) -> list[str]:
    """One line for each mistake."""
    return list(dict.fromkeys(_line(item, document) for item in error.errors(include_url=False)))


def where(document: Any, keys: tuple[Any, ...]) -> str:
    """Where keys lead in a document: "methods no. 3 (mabel), match, volume". Tags of pydantic's unions are no keys."""
    parts: list[str] = []
    node = document
    for key in keys:
        if isinstance(node, list) and isinstance(key, int) and key < len(node):
            node = node[key]
            kind = node.get("kind") if isinstance(node, dict) else None
            suffix = f" ({kind})" if isinstance(kind, str) else ""
            parts[-1:] = [f"{parts[-1] if parts else ''} no. {key + 1}{suffix}"]
        elif isinstance(node, dict) and key in node:
            node = node[key]
            parts.append(str(key))
    return ", ".join(parts)


def _line(item: Any, document: Any) -> str:
    place = where(document, item["loc"])
    return f"{place}: {_problem(item)}" if place else _problem(item)


def _problem(item: Any) -> str:
    kind, context, value = item["type"], item.get("ctx", {}), item["input"]
    found = f"but is {_short(value)}"
    match kind:
        case "union_tag_invalid":
            options = [tag.strip("' ") for tag in context["expected_tags"].split(",")]
            return f"there is no kind `{context['tag']}`.{closest(context['tag'], options)} Kinds: {', '.join(options)}"
        case "union_tag_not_found":
            return "`kind` is missing: it says which of several tables this is"
        case "literal_error":
            options = [option.strip("' ") for option in context["expected"].replace(" or ", ", ").split(",")]
            return f"must be one of {', '.join(options)}, {found}.{closest(str(value), options)}"
        case "float_type" | "int_type" | "int_from_float" | "float_parsing":
            return f"must be a {'whole ' if kind.startswith('int') else ''}number, {found}"
        case "bool_type":
            return f"must be true or false, {found}"
        case "string_type":
            return f"must be text in quotes, {found}"
        case "string_too_short":
            return "must not be empty"
        case "list_type" | "tuple_type":
            return f"must be a list, {found}"
        case "dict_type":
            return f"must be a table, {found}"
        case "too_short":
            return "must hold at least one entry"
        case "greater_than" | "greater_than_equal" | "less_than" | "less_than_equal":
            words = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
            (rule, limit), *_ = ((k, v) for k, v in context.items() if k in words)
            return f"must be {words[rule]} {limit:g}, {found}"
        case _:
            return f"{item['msg'][:1].lower()}{item['msg'][1:]}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
