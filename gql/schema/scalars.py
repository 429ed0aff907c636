"""Values that GraphQL does not know: instants, dates, times of day, exact decimals."""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation

import strawberry
from graphql import GraphQLError
from strawberry.types.scalar import ScalarDefinition

_OFFSET = re.compile(r"(?:[zZ]|[+-]\d{2}:\d{2})$")
_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:[zZ]|[+-]\d{2}:\d{2})$")
_MAX_DIGITS = 40
_MAX_EXPONENT = 12
"""A thousand billion of anything; a few signs with an exponent would take minutes to write out."""


def written_instant(value: datetime) -> str:
    """RFC 3339 in UTC, with Z."""
    text = value.astimezone(UTC).isoformat()
    return text[:-6] + "Z"


def _read_instant(value: object) -> datetime:
    advice = "write an instant as RFC 3339 with its offset, e.g. 2026-03-01T12:00:00+01:00"
    if not isinstance(value, str):
        raise GraphQLError(f"This is no DateTime: {advice}.")
    if not _OFFSET.search(value):
        raise GraphQLError(f"{value[:40]!r} has no offset: {advice}.")
    try:
        if not _INSTANT.match(value):
            raise ValueError(value)
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise GraphQLError(f"{value[:40]!r} is no DateTime: {advice}.") from error


def _read_date(value: object) -> date:
    try:
        if not isinstance(value, str) or len(value) != len("2026-03-01"):
            raise ValueError(value)
        return date.fromisoformat(value)
    except ValueError as error:
        raise GraphQLError(f"{str(value)[:40]!r} is no Date: write it as 2026-03-01.") from error


def _read_time(value: object) -> time:
    try:
        if not isinstance(value, str) or not re.fullmatch(r"\d{2}:\d{2}", value):
            raise ValueError(value)
        return time.fromisoformat(value)
    except ValueError as error:
        raise GraphQLError(f"{str(value)[:40]!r} is no Time: write it as HH:MM, from 00:00 to 23:59.") from error


def _read_decimal(value: object) -> Decimal:
    advice = 'write it as a string, e.g. "12.5"'
    if not isinstance(value, str) or len(value) > _MAX_DIGITS:
        raise GraphQLError(f"This is no Decimal: {advice}.")
    try:
        number = Decimal(value)
    except InvalidOperation as error:
        raise GraphQLError(f"{value!r} is no Decimal: {advice}.") from error
    if not number.is_finite():
        raise GraphQLError(f"{value!r} is no Decimal: {advice}.")
    if number and not -_MAX_EXPONENT <= number.adjusted() < _MAX_EXPONENT:
        raise GraphQLError(f"{value!r} is too large or too small.")
    return number


SCALARS: Mapping[object, ScalarDefinition] = {
    datetime: strawberry.scalar(
        name="DateTime",
        description="RFC 3339 instant with offset; one without is refused. Given out in UTC.",
        specified_by_url="https://scalars.graphql.org/andimarek/date-time",
        serialize=written_instant,
        parse_value=_read_instant,
    ),
    date: strawberry.scalar(
        name="Date", description="ISO 8601 calendar date.", serialize=date.isoformat, parse_value=_read_date
    ),
    time: strawberry.scalar(
        name="Time",
        description="Local time of day, HH:MM, in the installation's zone; 00:00 in `to` is the end of the day.",
        serialize=lambda value: value.strftime("%H:%M"),
        parse_value=_read_time,
    ),
    Decimal: strawberry.scalar(
        name="Decimal",
        description="Exact decimal, as a string.",
        serialize=lambda value: format(value, "f"),
        parse_value=_read_decimal,
    ),
}
"""By the Python type that stands for each in annotations."""
