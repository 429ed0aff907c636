"""Filters of single values, and the terms that they become."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import strawberry

from domain.filters import Comparison, Condition, Every, Not, Some, Term
from gql import ids


@strawberry.input(name="IDFilter", description="By id; an id that is hidden or none of ours matches nothing.")
class IDFilter:
    """Several fields are AND, a list is any of."""

    eq: strawberry.ID | None = strawberry.UNSET
    one_of: list[strawberry.ID] | None = strawberry.UNSET


@strawberry.input(description="By text, compared without case.")
class StringFilter:
    """Several fields are AND, a list is any of."""

    eq: str | None = strawberry.UNSET
    one_of: list[str] | None = strawberry.UNSET
    contains: str | None = strawberry.UNSET
    starts_with: str | None = strawberry.UNSET


@strawberry.input(description="From `gte` on, before `lt`.")
class DateTimeFilter:
    """Half-open."""

    gte: datetime | None = strawberry.UNSET
    lt: datetime | None = strawberry.UNSET


@strawberry.input(description="From `gte` on, below `lt`.")
class DecimalFilter:
    """Half-open."""

    gte: Decimal | None = strawberry.UNSET
    lt: Decimal | None = strawberry.UNSET


_COMPARISONS = {
    "eq": Comparison.EQUALS,
    "one_of": Comparison.ONE_OF,
    "contains": Comparison.CONTAINS,
    "starts_with": Comparison.STARTS_WITH,
    "gte": Comparison.AT_LEAST,
    "lt": Comparison.BELOW,
}

ValueFilter = IDFilter | StringFilter | DateTimeFilter | DecimalFilter


def terms(
    column: str, given: ValueFilter | None, *, convert: Callable[[Any], object] = lambda value: value
) -> Iterator[Condition]:
    """The terms of one filtered column; nothing when the filter is absent."""
    for name, comparison in _COMPARISONS.items():
        value = getattr(given, name, None)
        if value is None or value is strawberry.UNSET:
            continue
        if isinstance(value, list):
            yield Term(column, comparison, tuple(convert(one) for one in value))
        else:
            yield Term(column, comparison, convert(value))


def any_id_terms(column: str, given: IDFilter | None) -> Iterator[Condition]:
    """As `id_terms`, for things of any type."""

    def identity(text: str) -> object:
        found = ids.parsed(text)
        return found[1] if found else None

    yield from terms(column, given, convert=identity)


def id_terms(column: str, given: IDFilter | None, type_name: str) -> Iterator[Condition]:
    """As `terms`, for the global ids of a type: those of another type, or of nothing, match nothing."""

    def identity(text: str) -> object:
        found = ids.parsed(text)
        return found[1] if found and found[0] == type_name else None

    for term in terms(column, given, convert=identity):
        if isinstance(term, Term) and isinstance(term.value, tuple):
            yield Term(column, term.comparison, tuple(one for one in term.value if one is not None))
        else:
            yield term


def every(*parts: Iterator[Condition]) -> Every:
    """All of these terms."""
    return Every(tuple(condition for part in parts for condition in part))


def any_of(column: str, values: Iterable[object] | None) -> Iterator[Condition]:
    """The term of a column that is one of these; nothing when the list is absent."""
    if values is not None and values is not strawberry.UNSET:
        yield Term(column, Comparison.ONE_OF, tuple(values))


def exactly(column: str, value: object) -> Iterator[Condition]:
    """The term of a column that is this; nothing when it is absent."""
    if value is not None and value is not strawberry.UNSET:
        yield Term(column, Comparison.EQUALS, value)


def combined(given: Any, *parts: Iterator[Condition]) -> Every:
    """All of these terms, and what the input's `and_`, `or_` and `not_` say."""
    conditions = [condition for part in parts for condition in part]
    conditions += [one.to_domain() for one in given.and_ or ()]
    if given.or_ is not None and given.or_ is not strawberry.UNSET:
        conditions.append(Some(tuple(one.to_domain() for one in given.or_)))
    if given.not_ is not None and given.not_ is not strawberry.UNSET:
        conditions.append(Not(given.not_.to_domain()))
    return Every(tuple(conditions))
