"""A filter as JSON and back, so that what was asked can be done later. Pure."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from domain.filters import Comparison, Condition, Every, Not, Some, Term
from domain.roles import DateQuality, SessionFlag, SessionState

_ENUMS: dict[str, type[Enum]] = {kind.__name__: kind for kind in (SessionFlag, SessionState, DateQuality)}
_READERS: dict[str, Callable[[str], object]] = {"uuid": UUID, "at": datetime.fromisoformat, "decimal": Decimal}


def filter_to(condition: Condition) -> dict[str, object]:
    """The condition as JSON's objects."""
    match condition:
        case Term():
            return {"column": condition.column, "is": condition.comparison.value, "value": _stored(condition.value)}
        case Every():
            return {"every": [filter_to(part) for part in condition.parts]}
        case Some():
            return {"some": [filter_to(part) for part in condition.parts]}
        case Not():
            return {"not": filter_to(condition.part)}


def filter_from(content: dict[str, Any]) -> Condition:
    """The condition that was stored."""
    if "every" in content:
        return Every(tuple(filter_from(part) for part in content["every"]))
    if "some" in content:
        return Some(tuple(filter_from(part) for part in content["some"]))
    if "not" in content:
        return Not(filter_from(content["not"]))
    return Term(content["column"], Comparison(content["is"]), _read(content["value"]))


def _stored(value: object) -> object:
    match value:
        case tuple():
            return [_stored(one) for one in value]
        case UUID():
            return {"uuid": str(value)}
        case datetime():
            return {"at": value.isoformat()}
        case Decimal():
            return {"decimal": str(value)}
        case Enum():
            return {type(value).__name__: value.value}
    return value


def _read(value: Any) -> object:
    if isinstance(value, list):
        return tuple(_read(one) for one in value)
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    return _ENUMS[kind](content) if kind in _ENUMS else _READERS[kind](content)
