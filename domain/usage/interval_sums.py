"""How the database sums sessions by when their energy was taken (basis INTERVAL): split exactly where a border cuts them."""

import itertools
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from domain import sql
from domain.periods import Bucket, Period, bucket_at, edges
from domain.roles import UsageDimension
from domain.usage.intervals import touches
from domain.usage.question import Group, Tally, UsageQuestion, time_dimensions
from domain.usage.rows import NAMES, UNRELIABLE, Scope, counted, figures, tallied, thing_columns

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


async def energy_in_time(question: UsageQuestion, period: Period, scope: Scope) -> dict[Group, Tally]:
    """Groups of every session that touches the period, with the energy and the time that lie inside.

    A session with a wrong clock lies whole at the instant it was registered.
    """
    borders = edges(period, time_dimensions(question))
    statement, arguments = _statement(question, period, scope, borders)
    slices = _Slices(period.zone, borders)
    return await tallied(question, await sql.records(statement, *arguments), slices.reader)


class _Slices:
    """Which stretches of time a slice between two borders belongs to; slices count from 1."""

    def __init__(self, zone: ZoneInfo, borders: Sequence[datetime]) -> None:
        self._zone = zone
        self._borders = borders

    def reader(self, row: sql.Record) -> Callable[[UsageDimension], Bucket]:
        at = self._borders[row["slice"] - 1]
        return lambda dimension: bucket_at(at, dimension, self._zone)


def _statement(
    question: UsageQuestion, period: Period, scope: Scope, borders: Sequence[datetime]
) -> tuple[str, list[object]]:
    arguments: list[object] = []
    things = [dimension for dimension in question.group_by if dimension in NAMES]
    keys = thing_columns(things, scope, arguments)
    shown = [column for place in range(len(things)) for column in (f"id_{place}", f"name_{place}")] + ["slice"]
    columns = (*shown[:-1], *_SESSION_COLUMNS)
    condition = counted(scope, question.where, arguments)
    arguments += [period.start_at, period.end_at]
    inside = touches(f"${len(arguments) - 1}", f"${len(arguments)}")
    dialect = _OnSqlite(borders, arguments) if sql.is_sqlite() else _OnPostgresql(borders, arguments)
    summed = figures(
        energy_wh=_ENERGY.format(even=dialect.inside("energy_wh")), connected_s=dialect.inside("connected_s"),
        charging_s=dialect.inside("charging_s"), started_at="placed_at", newest_at="registered_at",
    )  # fmt: skip
    statement = f"""
        WITH {dialect.slices}
        touching AS MATERIALIZED (
            SELECT {"".join(f"{column}, " for column in keys)}s.id, s.registered_at, s.flags,
                {_placed("started_at")} AS placed_at,
                {dialect.micros(_placed("started_at"))} AS start_us, {dialect.micros(_placed("ended_at"))} AS end_us,
                COALESCE(s.energy_wh, 0) AS energy_wh, s.connected_s, s.charging_s
            FROM charge_sessions s WHERE {condition} AND {inside}
        ),
        {dialect.cut("pieces", "touching", columns)},
        parts AS MATERIALIZED ({dialect.parts}),
        {dialect.cut("part_pieces", "parts", _PART_COLUMNS)},
        taken AS MATERIALIZED (
            SELECT id, slice, SUM({dialect.inside("energy_wh")}) AS taken_wh FROM part_pieces GROUP BY id, slice
        )
        SELECT {", ".join([*shown, *summed])}
        FROM (
            SELECT q.*, t.taken_wh FROM pieces q LEFT JOIN taken t ON t.id = q.id AND t.slice = q.slice
        ) AS counted
        GROUP BY {", ".join(shown)}
    """  # noqa: S608  columns of ours, and marks
    return statement, arguments


def _placed(column: str) -> str:
    """When it began or ended, as far as that is known."""
    return f"CASE WHEN (s.flags & {UNRELIABLE}) <> 0 THEN s.registered_at ELSE s.{column} END"


_SESSION_COLUMNS: Final = (
    "id", "registered_at", "placed_at", "flags", "start_us", "end_us", "energy_wh", "connected_s", "charging_s",
)  # fmt: skip
_PART_COLUMNS: Final = ("id", "start_us", "end_us", "energy_wh")
_IS_CUT: Final = "(since_us > start_us OR until_us < end_us)"
_ENERGY: Final = f"""CASE WHEN NOT {_IS_CUT} THEN energy_wh WHEN taken_wh IS NOT NULL THEN taken_wh
    WHEN EXISTS (SELECT 1 FROM energy_intervals p WHERE p.session_id = counted.id) THEN 0 ELSE {{even}} END"""  # noqa: S608  names of ours
"""Of most sessions all lies in one slice. Of the others what their parts say; imported history has none and lies evenly over its time."""


class _OnPostgresql:
    """Slices are found in an array of their borders by bisection."""

    slices = ""
    parts = f"""
        SELECT c.id, p.start_us, p.end_us, p.energy_wh FROM (SELECT DISTINCT id FROM pieces WHERE {_IS_CUT}) AS c
        CROSS JOIN LATERAL (
            SELECT (extract(epoch FROM i.start_at) * 1000000)::bigint AS start_us,
                (extract(epoch FROM i.end_at) * 1000000)::bigint AS end_us, i.energy_wh
            FROM energy_intervals i WHERE i.session_id = c.id LIMIT 1000000000
        ) AS p"""  # noqa: S608  names of ours
    """One session after another (a LIMIT is never merged into what is around it): the parts of all are not to be read for those of few."""

    def __init__(self, borders: Sequence[datetime], arguments: list[object]) -> None:
        arguments.append([_micros(one) for one in borders])
        self._borders = f"(${len(arguments)}::bigint[])"
        self._count = len(borders) - 1

    def micros(self, instant: str) -> str:
        return f"(extract(epoch FROM {instant}) * 1000000)::bigint"

    def cut(self, name: str, table: str, columns: Sequence[str]) -> str:
        first = f"GREATEST(width_bucket(start_us, {self._borders}), 1)"
        last = f"LEAST(width_bucket(GREATEST(end_us - 1, start_us), {self._borders}), {self._count})"
        return f"""{name} AS MATERIALIZED (
            SELECT {", ".join(columns)}, first_slice + place - 1 AS slice, GREATEST(start_us, border_us) AS since_us,
                LEAST(end_us, {self._borders}[first_slice + place]) AS until_us
            FROM (SELECT *, {first} AS first_slice, {last} AS last_slice FROM {table}) AS x
            CROSS JOIN LATERAL unnest({self._borders}[first_slice:last_slice]) WITH ORDINALITY AS n(border_us, place)
        )"""  # noqa: S608  names of ours

    def inside(self, amount: str) -> str:
        until = f"div(2 * {amount}::numeric * (until_us - start_us) + (end_us - start_us), 2 * (end_us - start_us))"
        since = f"div(2 * {amount}::numeric * (since_us - start_us) + (end_us - start_us), 2 * (end_us - start_us))"
        return f"CASE WHEN {_IS_CUT} THEN {until} - {since} ELSE {amount} END"


class _OnSqlite:
    """Slices are a table, found by numbers of equal stretches of time: none is longer than such a stretch, so each has at most two."""

    def __init__(self, borders: Sequence[datetime], arguments: list[object]) -> None:
        numbers = [_micros(one) for one in borders]
        arguments.append(msgspec.json.encode(numbers).decode())
        unit = max(b - a for a, b in itertools.pairwise(numbers))
        self._start, self._end, self._unit = numbers[0], numbers[-1], unit
        self.slices = f"""RECURSIVE borders AS (
            SELECT key + 1 AS slice, value AS border_us, LEAD(value) OVER (ORDER BY key) AS next_us FROM json_each(${len(arguments)})
        ),
        slices AS MATERIALIZED (
            SELECT slice, border_us, next_us, border_us / {unit} AS stretch FROM borders WHERE next_us IS NOT NULL
            UNION SELECT slice, border_us, next_us, (next_us - 1) / {unit} FROM borders WHERE next_us IS NOT NULL
        ),"""  # noqa: S608  numbers of ours

    @property
    def parts(self) -> str:
        return f"""
            SELECT p.session_id AS id, {self.micros("p.start_at")} AS start_us, {self.micros("p.end_at")} AS end_us, p.energy_wh
            FROM (SELECT DISTINCT id FROM pieces WHERE {_IS_CUT}) AS c CROSS JOIN energy_intervals p ON p.session_id = c.id"""  # noqa: S608  names of ours

    def micros(self, instant: str) -> str:
        # Texts as instants are stored: to the second, or with six digits after it.
        return (
            f"(CAST(strftime('%s', substr({instant}, 1, 19)) AS INTEGER) * 1000000"
            f" + CASE WHEN substr({instant}, 20, 1) = '.' THEN CAST(substr({instant}, 21, 6) AS INTEGER) ELSE 0 END)"
        )

    def cut(self, name: str, table: str, columns: Sequence[str]) -> str:
        first, last = f"MAX(start_us, {self._start})", f"MIN(MAX(end_us - 1, start_us), {self._end} - 1)"
        own = ", ".join(columns)
        return f"""{name}_met AS (
            SELECT {own}, {first} AS first_us, {last} AS last_us, {first} / {self._unit} AS stretch FROM {table} WHERE {first} <= {last}
            UNION ALL SELECT {own}, first_us, last_us, stretch + 1 FROM {name}_met WHERE stretch < last_us / {self._unit}
        ),
        {name} AS MATERIALIZED (
            SELECT {own}, slice, MAX(start_us, border_us) AS since_us, MIN(end_us, next_us) AS until_us
            FROM {name}_met AS x JOIN slices ON slices.stretch = x.stretch
            WHERE border_us <= last_us AND next_us > first_us AND x.stretch = MAX(first_us, border_us) / {self._unit}
        )"""  # noqa: S608  names of ours

    def inside(self, amount: str) -> str:
        whole = "end_us - start_us"
        return f"""CASE WHEN {_IS_CUT}
            THEN share({amount}, until_us - start_us, {whole}) - share({amount}, since_us - start_us, {whole}) ELSE {amount} END"""


def _micros(instant: datetime) -> int:
    return (instant - _EPOCH) // _MICROSECOND
