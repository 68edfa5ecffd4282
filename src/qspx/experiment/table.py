"""What every table of an experiment file has in common: frozen, no unknown key, errors that help."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict, WithJsonSchema, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from qspx._errors import QspxError, closest

from .quantity import Quantity

# TOML knows its types: "5" is no number, and 1 is no truth value.
Text = Annotated[str, Strict()]
Words = Annotated[str, Strict(), Field(min_length=1)]
Number = Annotated[float, Strict()]
Whole = Annotated[int, Strict()]
Flag = Annotated[bool, Strict()]
Positive = Annotated[Number, Field(gt=0)]
Count = Annotated[Whole, Field(ge=1)]
_NUMBER_OR_TEXT = WithJsonSchema({"type": ["number", "string"]})


def _read(value: Any) -> Quantity:
    try:
        return Quantity.parse(value)
    except QspxError as error:
        raise PydanticCustomError("quantity", "{message}", {"message": str(error)}) from error


def _read_unless_name(value: Any) -> Quantity | str:
    return value if isinstance(value, str) and value.isidentifier() else _read(value)


def _to(wanted: str, example: str) -> BeforeValidator:
    """Reads a quantity and keeps it as a number in `wanted`."""

    def convert(value: Any) -> float:
        try:
            return _read(value).to(wanted, example)
        except QspxError as error:
            raise PydanticCustomError("quantity", "{message}", {"message": str(error)}) from error

    return BeforeValidator(convert)


def _scalar(value: Any) -> Any:
    if not isinstance(value, bool | int | float | str):
        raise PydanticCustomError(
            "scalar", "must be true, false, a number or text, but is {found}", {"found": repr(value)}
        )
    return value


def _listed(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


# A quantity whose unit is that of something in the model, so that it is converted when the model is known.
Measure = Annotated[Quantity, BeforeValidator(_read), _NUMBER_OR_TEXT]
# The same, or the name of a parameter of the model.
MeasureOrName = Annotated[Quantity | str, BeforeValidator(_read_unless_name), _NUMBER_OR_TEXT]

# Quantities above zero, kept as numbers in the unit named.
Litres = Annotated[float, _to("L", "2.81 L"), Field(gt=0), _NUMBER_OR_TEXT]
Clearance = Annotated[float, _to("L/day", "0.25 L/day"), Field(gt=0), _NUMBER_OR_TEXT]
HourlyClearance = Annotated[float, _to("L/h", "2.92 L/h"), Field(gt=0), _NUMBER_OR_TEXT]
SurfaceClearance = Annotated[float, _to("L/m^2/day", "39 L/m^2/day"), Field(gt=0), _NUMBER_OR_TEXT]
Rate = Annotated[float, _to("1/day", "0.5 1/day"), Field(gt=0), _NUMBER_OR_TEXT]
Days = Annotated[float, _to("day", "7 day"), Field(gt=0), _NUMBER_OR_TEXT]
Hours = Annotated[float, _to("h", "48 h"), Field(gt=0), _NUMBER_OR_TEXT]
Molar = Annotated[float, _to("nM", "1.9 nM"), Field(gt=0), _NUMBER_OR_TEXT]
Kilograms = Annotated[float, _to("kg", "70 kg"), Field(gt=0), _NUMBER_OR_TEXT]
SquareMetres = Annotated[float, _to("m^2", "1.8 m^2"), Field(gt=0), _NUMBER_OR_TEXT]
CellDensity = Annotated[float, _to("cell/L", "1e9 cell/L"), Field(gt=0), _NUMBER_OR_TEXT]

Scalar = Annotated[Any, BeforeValidator(_scalar)]
# One number or several.
Numbers = Annotated[list[Positive], BeforeValidator(_listed), Field(min_length=1)]


class Table(BaseModel):
    """One table of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, populate_by_name=False)

    @model_validator(mode="before")
    @classmethod
    def _check_keys(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            raise PydanticCustomError("table", "must be a table, but is {found}", {"found": repr(data)})
        fields = {field.alias or name: field for name, field in cls.model_fields.items()}
        for key in data:
            if key not in fields:
                raise PydanticCustomError(
                    "unknown_key",
                    "`{key}` is not a key here.{hint} Keys: {keys}",
                    {"key": key, "hint": closest(key, fields), "keys": ", ".join(fields)},
                )
        for key, field in fields.items():
            if field.is_required() and key not in data:
                raise PydanticCustomError("missing_key", "`{key}` is missing{what}", {"key": key, "what": _what(field)})
        return data


def _what(field: FieldInfo) -> str:
    return f": {field.description}" if field.description else ""
