"""Filters of lists: a tree of terms over named columns, and the SQL of it.

The columns are given by the noun's own file, already narrowed to what the asking person may see: a hidden value is NULL
there, and NULL matches nothing, negated or not. So a filter finds no more than the eye does.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum

from domain import sql
from domain.errors import ErrorCode, invalid

MAX_LEVELS = 4
MAX_TERMS = 50


class Comparison(StrEnum):
    """How a term compares; texts compare without case."""

    EQUALS = "="
    ONE_OF = "IN"
    CONTAINS = "CONTAINS"
    STARTS_WITH = "STARTS_WITH"
    AT_LEAST = ">="
    BELOW = "<"


@dataclass(frozen=True, slots=True)
class Term:
    """One comparison of a column; `value` is a tuple for ONE_OF."""

    column: str
    comparison: Comparison
    value: object


@dataclass(frozen=True, slots=True)
class Every:
    """All parts hold; holds when there are none."""

    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Some:
    """At least one part holds; never when there are none."""

    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: "Condition"


Condition = Term | Every | Some | Not

ANYTHING = Every(())
"""The filter that lets everything through."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A value that a filter compares: a column of the list, or SQL over its columns."""

    sql: str
    is_text: bool = False


Special = Callable[[object, list[object]], str]
"""A term that is no comparison of a column: its value to SQL; appends to the arguments."""

Columns = Mapping[str, Expression | Special]
"""What a list can be filtered by: the term's column, as the API names it, to what is compared."""


def check_size(condition: Condition, *, path: str = "where") -> None:
    """Returns for a filter of at most 4 levels and 50 terms (a list counts its members); else ValidationError (LIMIT_EXCEEDED)."""
    levels, terms = _size(condition)
    if levels > MAX_LEVELS or terms > MAX_TERMS:
        message = f"A filter has at most {MAX_LEVELS} levels and {MAX_TERMS} terms; ask in several steps."
        raise invalid(path, message, ErrorCode.LIMIT_EXCEEDED)


def _size(condition: Condition) -> tuple[int, int]:
    """(levels, terms): a level is a set of fields that hold together, as one input object is."""
    match condition:
        case Term():
            return 0, len(condition.value) if isinstance(condition.value, tuple) else 1
        case Not():
            return _size(condition.part)
        case Every() | Some():
            sizes = [_size(part) for part in condition.parts]
            deepest = max((levels for levels, _ in sizes), default=0)
            return deepest + isinstance(condition, Every), sum(terms for _, terms in sizes)


def sql_of(condition: Condition, columns: Columns, arguments: list[object]) -> str:
    """The condition as SQL; appends to `arguments`."""
    match condition:
        case Term():
            column = columns[condition.column]
            if isinstance(column, Expression):
                return _term(condition, column, arguments)
            return column(condition.value, arguments)
        case Not():
            # What is not known or hidden is not found by the part, so it is found by its opposite.
            return f"NOT COALESCE({sql_of(condition.part, columns, arguments)}, FALSE)"
        case Every():
            return _joined(" AND ", (sql_of(part, columns, arguments) for part in condition.parts), empty="1 = 1")
        case Some():
            return _joined(" OR ", (sql_of(part, columns, arguments) for part in condition.parts), empty="1 = 0")


def _joined(word: str, parts: Iterable[str], *, empty: str) -> str:
    texts = list(parts)
    return f"({word.join(texts)})" if texts else empty


def _term(term: Term, expression: Expression, arguments: list[object]) -> str:
    left = sql.folded(expression.sql) if expression.is_text else expression.sql
    match term.comparison:
        case Comparison.ONE_OF:
            members = term.value if isinstance(term.value, tuple) else (term.value,)
            return sql.any_of(left, [_comparable(member, expression) for member in members], arguments)
        case Comparison.CONTAINS | Comparison.STARTS_WITH:
            lead = "%" if term.comparison is Comparison.CONTAINS else ""
            arguments.append(f"{lead}{sql.literal(str(term.value).lower())}%")
            return f"{left} LIKE ${len(arguments)} ESCAPE '!'"
        case comparison:
            arguments.append(_comparable(term.value, expression))
            return f"{left} {comparison.value} ${len(arguments)}"


def _comparable(value: object, expression: Expression) -> object:
    if isinstance(value, Enum):
        return value.value
    return str(value).lower() if expression.is_text else value
