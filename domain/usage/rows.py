"""How sessions become groups: one GROUP BY for whole sessions (bases REGISTERED and ENDED), alike on both databases."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
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


async def whole_sessions(question: UsageQuestion, period: Period, scope: Scope) -> dict[Group, Tally]:
    """Groups of the sessions whose instant lies in the period, each with all of its energy."""
    instant = INSTANTS[question.basis]
    arguments: list[object] = []
    things = [dimension for dimension in question.group_by if dimension in NAMES]
    keys = [f"{id_column(dimension, scope, arguments)} AS id_{place}" for place, dimension in enumerate(things)]
    # Few things change their names: to group by these too and take the newest afterwards costs less than to find it row by row.
    keys += [f"{NAMES[dimension]} AS name_{place}" for place, dimension in enumerate(things)]
    times = time_dimensions(question)
    local = LocalTime(period, times) if times else None
    if local is not None:
        keys += local.columns(instant, arguments)
    condition = counted(scope, question.where, arguments)
    arguments += [period.start_at, period.end_at]
    last = len(arguments)
    statement = f"""
        SELECT {", ".join([*keys, *_FIGURES])}, MAX({instant}) AS newest_at FROM charge_sessions s
        WHERE {condition} AND {instant} >= ${last - 1} AND {instant} < ${last}
        GROUP BY {", ".join(str(place) for place in range(1, len(keys) + 1))}
    """  # noqa: S608  columns of ours, and marks
    found: dict[Group, Tally] = {}
    # As the driver has them: of a year by person and day, to make them all dicts at once would hold others up.
    async for some in sql.in_turns(await sql.records(statement, *arguments)):
        for row in some:
            bucket_of = None if local is None else local.reader(row)
            group = tuple(
                GroupPart(dimension, bucket=bucket_of(dimension))
                if bucket_of is not None and dimension in times
                else GroupPart(dimension, sql.optional_uuid_of(row[f"id_{things.index(dimension)}"]))
                for dimension in question.group_by
            )
            found.setdefault(group, Tally()).add(_usage(row), snapshots(row, things))
    return found


_FIGURES = (
    "COUNT(*) AS sessions",
    "SUM(COALESCE(s.energy_wh, 0)) AS energy_wh",
    "SUM(s.connected_s) AS connected_s",
    "SUM(s.charging_s) AS charging_s",
    f"COUNT(*) FILTER (WHERE (s.flags & {OFFLINE}) <> 0) AS offline",
    f"COUNT(*) FILTER (WHERE (s.flags & {UNRELIABLE}) <> 0) AS unreliable",
    "MIN(s.started_at) AS first_at",
    "MAX(s.started_at) AS last_at",
)


def _usage(row: sql.Record) -> Usage:
    # PostgreSQL sums a bigint to a numeric, which comes as a Decimal.
    return Usage(
        int(row["sessions"]),
        int(row["energy_wh"]),
        int(row["connected_s"]),
        int(row["charging_s"]),
        int(row["offline"]),
        int(row["unreliable"]),
        sql.instant_of(row["first_at"]),
        sql.instant_of(row["last_at"]),
    )


def snapshots(row: sql.Record, things: list[UsageDimension]) -> list[tuple[UsageDimension, Snapshot]]:
    """The names of a row's things (`name_0`, …), as they were at `newest_at`."""
    if not things:
        return []
    at = str(row["newest_at"])
    named = [(dimension, row[f"name_{place}"]) for place, dimension in enumerate(things)]
    return [(dimension, Snapshot(at, name)) for dimension, name in named if name is not None]


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
