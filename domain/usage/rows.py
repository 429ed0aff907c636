"""How sessions become groups: one GROUP BY for whole sessions (bases REGISTERED and ENDED), alike on both databases."""

from collections.abc import Callable, MutableSequence, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from domain import sql
from domain.periods import Bucket, Period, bucket_at, offsets, start_of
from domain.roles import ReportBasis, SessionFlag, SessionState, UsageDimension
from domain.usage.question import Group, GroupPart, Snapshot, Tally, Usage, UsageFilter, UsageQuestion, time_dimensions

OFFLINE, UNRELIABLE = int(SessionFlag.OFFLINE), int(SessionFlag.CLOCK_UNRELIABLE)

INSTANTS = {
    ReportBasis.REGISTERED: "s.registered_at",
    ReportBasis.ENDED: f"CASE WHEN (s.flags & {UNRELIABLE}) <> 0 THEN s.registered_at ELSE s.ended_at END",
}
"""The instant that puts a whole session into a period."""

NAMES = {
    UsageDimension.INSTALLATION: "s.installation_name",
    UsageDimension.CHARGER: "s.charger_name",
    UsageDimension.USER: "s.user_name",
    UsageDimension.CHARGE_CARD: "s.card_name",
    UsageDimension.CIRCUIT: "s.circuit_name",
}


_IDS = {
    UsageDimension.INSTALLATION: "s.installation_id",
    UsageDimension.CHARGER: "s.charger_id",
    UsageDimension.USER: "s.user_id",
    UsageDimension.CHARGE_CARD: "s.card_id",
    UsageDimension.CIRCUIT: "s.circuit_id",
}


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose sessions are summed: a condition over `s`, and where circuits may be told."""

    condition: Callable[[list[object]], str]
    circuits_at: tuple[UUID, ...]


def counted(scope: Scope, where: UsageFilter, arguments: list[object]) -> str:
    """The condition on sessions that count: in the scope, ended, not void, through the filter; appends to `arguments`."""
    parts = [scope.condition(arguments), f"s.state = '{SessionState.ENDED}'"]
    ids = {
        "s.charger_id": where.charger_ids,
        "s.user_id": where.user_ids,
        "s.card_id": where.charge_card_ids,
        "s.circuit_id": where.circuit_ids,
    }
    parts += [sql.any_of(column, chosen, arguments) for column, chosen in ids.items() if chosen is not None]
    if where.flags is not None:
        parts.append(f"(s.flags & {sum(set(where.flags))}) <> 0")
    if where.is_identified is not None:
        parts.append(f"s.user_id IS {'NOT NULL' if where.is_identified else 'NULL'}")
    if where.min_energy_wh is not None:
        arguments.append(where.min_energy_wh)
        parts.append(f"COALESCE(s.energy_wh, 0) >= ${len(arguments)}")
    return " AND ".join(parts)


def id_column(dimension: UsageDimension, scope: Scope, arguments: list[object]) -> str:
    """The column that things are told apart by, a circuit only where the asker sees circuits; appends to `arguments`."""
    column = _IDS[dimension]
    if dimension is not UsageDimension.CIRCUIT:
        return column
    return f"CASE WHEN {sql.any_of('s.installation_id', scope.circuits_at, arguments)} THEN {column} END"


def thing_columns(things: Sequence[UsageDimension], scope: Scope, arguments: list[object]) -> list[str]:
    """The columns of what is grouped by: `id_0`, `name_0`, then those of the second; appends to `arguments`."""
    return [
        column
        for place, dimension in enumerate(things)
        for column in (
            f"{id_column(dimension, scope, arguments)} AS id_{place}",
            f"{NAMES[dimension]} AS name_{place}",
        )
    ]


async def whole_sessions(question: UsageQuestion, period: Period, scope: Scope) -> dict[Group, Tally]:
    """Groups of the sessions whose instant lies in the period, each with all of its energy."""
    instant = INSTANTS[question.basis]
    arguments: list[object] = []
    things = [dimension for dimension in question.group_by if dimension in NAMES]
    # Few things change their names: to group by these too and take the newest afterwards costs less than to find it row by row.
    keys = thing_columns(things, scope, arguments)
    times = time_dimensions(question)
    local = LocalTime(period, times) if times else None
    if local is not None:
        keys += local.columns(instant, arguments)
    condition = counted(scope, question.where, arguments)
    arguments += [period.start_at, period.end_at]
    last = len(arguments)
    shown = figures(
        energy_wh="COALESCE(s.energy_wh, 0)", connected_s="s.connected_s", charging_s="s.charging_s", started_at="s.started_at",
        newest_at=instant,
    )  # fmt: skip
    statement = f"""
        SELECT {", ".join([*keys, *shown])} FROM charge_sessions s
        WHERE {condition} AND {instant} >= ${last - 1} AND {instant} < ${last}
        GROUP BY {", ".join(str(place) for place in range(1, len(keys) + 1))}
    """  # noqa: S608  columns of ours, and marks
    buckets = None if local is None else local.reader
    return await tallied(question, await sql.records(statement, *arguments), buckets)


FIGURES = (
    "COUNT(*) AS sessions",
    "SUM({energy_wh}){whole} AS energy_wh",
    "SUM({connected_s}){whole} AS connected_s",
    "SUM({charging_s}){whole} AS charging_s",
    f"COUNT(*) FILTER (WHERE (flags & {OFFLINE}) <> 0) AS offline",
    f"COUNT(*) FILTER (WHERE (flags & {UNRELIABLE}) <> 0) AS unreliable",
    "MIN({started_at}) AS first_at",
    "MAX({started_at}) AS last_at",
    "MAX({newest_at}) AS newest_at",
)
"""The last columns of a statement whose rows `tallied` reads, in the order of Usage, then when the names were so."""


def figures(**columns: str) -> list[str]:
    """`FIGURES` of these columns."""
    # PostgreSQL sums a bigint to a numeric, which takes long to read.
    return [one.format(whole="" if sql.is_sqlite() else "::bigint", **columns) for one in FIGURES]


async def tallied(
    question: UsageQuestion,
    records: MutableSequence[sql.Record],
    reader: Callable[[sql.Record], Callable[[UsageDimension], Bucket]] | None,
) -> dict[Group, Tally]:
    """Groups of rows that begin with an id and a name for each thing grouped by, go on with what `reader` reads stretches of time from,
    and end with `FIGURES`; those that differ in names only are added up.
    None of the rows is left in the list.
    """
    things = [dimension for dimension in question.group_by if dimension in NAMES]
    parts = _Parts(question, things, reader)
    first = -len(FIGURES)
    found: dict[Group, Tally] = {}
    # As the driver has them: of a year by person and day, to make them all dicts at once would hold others up.
    async for some in sql.consumed(records):
        for row in some:
            values = tuple(row)
            group = parts.group(row, values)
            usage, newest_at = _usage(values[first:])
            names = {
                dimension: Snapshot(newest_at, name)
                for dimension, name in zip(things, values[1::2], strict=False)
                if name is not None
            }
            known = found.get(group)
            if known is None:
                found[group] = Tally(usage, names)
            else:
                known.add(usage, names.items())
    return found


def _usage(values: tuple[Any, ...]) -> tuple[Usage, datetime]:
    sessions, energy_wh, connected_s, charging_s, offline, unreliable, first_at, last_at, newest_at = values
    begun = sql.instant_of(first_at), sql.instant_of(last_at)
    return Usage(sessions, energy_wh, connected_s, charging_s, offline, unreliable, *begun), sql.instant_of(newest_at)


class _Parts:
    """What rows are grouped by: each thing and each stretch of time is made once, however many rows it is in."""

    def __init__(
        self,
        question: UsageQuestion,
        things: Sequence[UsageDimension],
        reader: Callable[[sql.Record], Callable[[UsageDimension], Bucket]] | None,
    ) -> None:
        self._reader = reader
        self._width = 2 * len(things)
        # Dimension, where its id is (None: it is a stretch of time), and its parts.
        self._plan: list[tuple[UsageDimension, int | None, dict[object, GroupPart]]] = [
            (dimension, 2 * things.index(dimension) if dimension in things else None, {})
            for dimension in question.group_by
        ]

    def group(self, row: sql.Record, values: tuple[Any, ...]) -> Group:
        made = []
        for dimension, place, known in self._plan:
            mark = values[self._width : -len(FIGURES)] if place is None else values[place]
            part = known.get(mark)
            if part is None:
                part = known[mark] = self._part(dimension, row, None if place is None else mark)
            made.append(part)
        return tuple(made)

    def _part(self, dimension: UsageDimension, row: sql.Record, mark: object) -> GroupPart:
        if dimension in NAMES or self._reader is None:
            return GroupPart(dimension, sql.optional_uuid_of(mark))
        return GroupPart(dimension, bucket=self._reader(row)(dimension))


_TO_THE_HOUR = len("2026-02-03T10")
_GRAINS = (UsageDimension.HOUR, UsageDimension.DAY, UsageDimension.WEEK, UsageDimension.MONTH)
_ON_SQLITE = {
    UsageDimension.HOUR: "strftime('%Y-%m-%dT%H', {wall})",
    UsageDimension.DAY: "date({wall})",
    UsageDimension.WEEK: "date({wall}, '-6 days', 'weekday 1')",
    UsageDimension.MONTH: "date({wall}, 'start of month')",
}
"""A local time cut to where its hour, day, week or month begins."""
_ON_POSTGRESQL = {
    UsageDimension.HOUR: "date_trunc('hour', {wall})",
    UsageDimension.DAY: "CAST({wall} AS date)",
    UsageDimension.WEEK: "CAST(date_trunc('week', {wall}) AS date)",
    UsageDimension.MONTH: "CAST(date_trunc('month', {wall}) AS date)",
}


def _grain(times: Sequence[UsageDimension]) -> UsageDimension:
    """The shortest of these stretches of time; a day where none is made of whole others, as weeks and months are not."""
    if set(times) == {UsageDimension.WEEK, UsageDimension.MONTH}:
        return UsageDimension.DAY
    return next(one for one in _GRAINS if one in times)


class LocalTime:
    """Local times in SQL, as coarse as what is grouped by allows: UTC plus the offset in force, so that both databases agree with
    Python's zone.
    """

    def __init__(self, period: Period, times: Sequence[UsageDimension]) -> None:
        self._zone = period.zone
        self._grain = _grain(times)
        self._is_hourly = self._grain is UsageDimension.HOUR
        self._offsets = offsets(period.zone, period.start_at, period.end_at)
        self._buckets: dict[tuple[UsageDimension, object], Bucket] = {}

    def columns(self, instant: str, arguments: list[object]) -> list[str]:
        """The columns `local` and, for hours, `offset_s`; appends to `arguments`."""
        offset = str(self._offsets[-1].seconds)
        if len(self._offsets) > 1:
            cases = []
            for before, change in zip(self._offsets, self._offsets[1:], strict=False):
                arguments.append(change.since)
                cases.append(f"WHEN {instant} < ${len(arguments)} THEN {before.seconds}")
            offset = f"CASE {' '.join(cases)} ELSE {offset} END"
        if sql.is_sqlite():
            # Cut to whole seconds: SQLite would round the last half millisecond of a day into the next.
            local = _ON_SQLITE[self._grain].format(wall=f"substr({instant}, 1, 19), ({offset}) || ' seconds'")
        else:
            wall = f"({instant} AT TIME ZONE 'UTC') + ({offset}) * INTERVAL '1 second'"
            local = _ON_POSTGRESQL[self._grain].format(wall=wall)
        return [f"{local} AS local", f"{offset} AS offset_s"] if self._is_hourly else [f"{local} AS local"]

    def reader(self, row: sql.Record) -> Callable[[UsageDimension], Bucket]:
        """Which bucket of each dimension a row belongs to."""
        local = row["local"]
        mark: object = (local, row["offset_s"]) if self._is_hourly else local

        def bucket(dimension: UsageDimension) -> Bucket:
            known = self._buckets.get((dimension, mark))
            if known is None:
                known = bucket_at(self._instant(row), dimension, self._zone)
                self._buckets[dimension, mark] = known
            return known

        return bucket

    def _instant(self, row: sql.Record) -> datetime:
        # SQLite has texts, which end with the hour where hours are asked for.
        local = str(row["local"])
        if not self._is_hourly:
            return start_of(date.fromisoformat(local), self._zone)
        wall = datetime.fromisoformat(local if len(local) > _TO_THE_HOUR else f"{local}:00:00").replace(tzinfo=UTC)
        instant = wall - timedelta(seconds=int(row["offset_s"]))
        # Where the clock changes within an hour, the hour may begin before this offset does.
        ends = instant + timedelta(hours=1)
        since = (one.since for one in self._offsets if one.seconds == int(row["offset_s"]) and one.since < ends)
        return max(instant, max(since, default=instant))
