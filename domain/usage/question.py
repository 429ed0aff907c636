"""What a usage summary is made of: the question, groups, and figures that add up. Pure.

What there are many of refers to nothing that refers back, so the search for garbage need not look at it (`gc=False`), which would
hold up everything the longer the more rows there are.
"""

import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

import msgspec

from domain.errors import FieldProblem, ValidationError
from domain.periods import TIME_DIMENSIONS, Bucket, Period
from domain.pricing.sums import NO_COSTS, Costs
from domain.roles import ReportBasis, SessionFlag, UsageDimension

NOT_IDENTIFIED = "Not identified"
_NO_NAME = {
    UsageDimension.USER: NOT_IDENTIFIED,
    UsageDimension.CHARGE_CARD: "No card",
    UsageDimension.CIRCUIT: "No circuit",
    UsageDimension.CHARGER: "No charger",
}
_ROW_IDS = UUID("5f0b3a1e-6f0e-4f7e-9c56-3a6a5a6f2d11")
MAX_INSTALLATIONS = 100
MAX_FILTER_IDS = 1_000


class UsageFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which sessions count; a list is any of, None is all. Every id must be one that the asker may see."""

    charger_ids: tuple[UUID, ...] | None = None
    user_ids: tuple[UUID, ...] | None = None
    charge_card_ids: tuple[UUID, ...] | None = None
    circuit_ids: tuple[UUID, ...] | None = None
    flags: tuple[SessionFlag, ...] | None = None
    is_identified: bool | None = None
    min_energy_wh: int | None = None


class UsageQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked. `installation_ids` None: the asker's own sessions, on every charger. [from_date, to_date) in `time_zone`.

    `time_zone` None: the installations' own, an error when theirs differ.
    """

    from_date: date
    to_date: date
    installation_ids: tuple[UUID, ...] | None = None
    time_zone: str | None = None
    group_by: tuple[UsageDimension, ...] = (UsageDimension.CHARGER,)
    basis: ReportBasis = ReportBasis.REGISTERED
    where: UsageFilter = UsageFilter()
    include_idle: bool = False


def check_question(question: UsageQuestion) -> None:
    """Returns for a question that makes sense, whoever asks it; else ValidationError with every field that is wrong."""
    problems = []
    if not 1 <= len(question.group_by) <= 2 or len(set(question.group_by)) != len(question.group_by):
        problems.append(FieldProblem(("groupBy",), "Group by one dimension, or by two different ones."))
    if question.installation_ids is not None and not 1 <= len(question.installation_ids) <= MAX_INSTALLATIONS:
        message = f"Name from 1 to {MAX_INSTALLATIONS} installations."
        problems.append(FieldProblem(("installationIds",), message))
    where = question.where
    if where.min_energy_wh is not None and where.min_energy_wh < 0:
        problems.append(FieldProblem(("where", "minEnergyKwh"), "The minimum energy is 0 or more."))
    if any(
        len(ids or ()) > MAX_FILTER_IDS
        for ids in (where.charger_ids, where.user_ids, where.charge_card_ids, where.circuit_ids)
    ):
        problems.append(FieldProblem(("where",), f"A list in a filter has at most {MAX_FILTER_IDS} ids."))
    if problems:
        raise ValidationError(*problems)


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Figures that add up. `first_at` and `last_at` are the starts of the first and last session."""

    session_count: int = 0
    energy_wh: int = 0
    connected_s: int = 0
    charging_s: int = 0
    offline_count: int = 0
    unreliable_count: int = 0
    first_at: datetime | None = None
    last_at: datetime | None = None
    costs: Costs = NO_COSTS
    """None where they were not asked for."""

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.session_count + other.session_count,
            self.energy_wh + other.energy_wh,
            self.connected_s + other.connected_s,
            self.charging_s + other.charging_s,
            self.offline_count + other.offline_count,
            self.unreliable_count + other.unreliable_count,
            min((at for at in (self.first_at, other.first_at) if at is not None), default=None),
            max((at for at in (self.last_at, other.last_at) if at is not None), default=None),
            self.costs + other.costs,
        )


NOTHING = Usage()


def total_of(usages: Iterable[Usage]) -> Usage:
    """All of them added up."""
    sessions = energy_wh = connected_s = charging_s = offline = unreliable = 0
    first_at = last_at = None
    costs = NO_COSTS
    # One walk over what may be many rows, and nothing made in it.
    for one in usages:
        sessions += one.session_count
        energy_wh += one.energy_wh
        connected_s += one.connected_s
        charging_s += one.charging_s
        offline += one.offline_count
        unreliable += one.unreliable_count
        if one.first_at is not None and (first_at is None or one.first_at < first_at):
            first_at = one.first_at
        if one.last_at is not None and (last_at is None or one.last_at > last_at):
            last_at = one.last_at
        if one.costs is not NO_COSTS:
            costs += one.costs
    return Usage(sessions, energy_wh, connected_s, charging_s, offline, unreliable, first_at, last_at, costs)


@lru_cache(maxsize=16_384)
def _iso(instant: datetime) -> str:
    """Rows by time ask for the same few again and again."""
    return instant.isoformat()


class GroupPart(msgspec.Struct, frozen=True, cache_hash=True, gc=False):
    """One dimension of a group: the id of a thing (None: not identified), or a stretch of time."""

    dimension: UsageDimension
    id: UUID | None = None
    bucket: Bucket | None = None

    @property
    def key(self) -> str:
        """Stable text; the two hours 02 of an autumn night differ by their instant."""
        if self.bucket is None:
            return f"{self.dimension}={self.id or '-'}"
        return f"{self.dimension}={_iso(self.bucket.start_at)}"


Group = tuple[GroupPart, ...]


class Snapshot(msgspec.Struct, frozen=True, gc=False):
    """A name, and when it was so."""

    at: datetime
    name: str


OF_OLD = datetime.min.replace(tzinfo=UTC)
"""When a name was so that any other is newer than."""


class Tally(msgspec.Struct, gc=False):
    """A group while it is added up: figures, and for each dimension the newest name."""

    usage: Usage = NOTHING
    names: dict[UsageDimension, Snapshot] = msgspec.field(default_factory=dict)

    def add(self, usage: Usage, names: Iterable[tuple[UsageDimension, Snapshot]]) -> None:
        """The figures are in; a newer name replaces an older."""
        self.usage = usage if self.usage is NOTHING else self.usage + usage
        for dimension, snapshot in names:
            known = self.names.get(dimension)
            if known is None or (snapshot.at, snapshot.name) > (known.at, known.name):
                self.names[dimension] = snapshot


class UsageRow(msgspec.Struct, frozen=True, gc=False):
    """One group with its figures; `labels` has a text for each dimension."""

    group: Group
    labels: tuple[str, ...]
    usage: Usage

    @property
    def key(self) -> str:
        """The same group has the same key."""
        return "&".join(part.key for part in self.group)

    @property
    def id(self) -> UUID:
        """The key as an id, for cursors."""
        return uuid5(_ROW_IDS, self.key)

    def id_of(self, dimension: UsageDimension) -> UUID | None:
        """The thing grouped by; None where not grouped by it, or not identified."""
        return next((part.id for part in self.group if part.dimension is dimension), None)

    @property
    def buckets(self) -> list[Bucket]:
        """The stretches of time grouped by."""
        return [part.bucket for part in self.group if part.bucket is not None]

    @property
    def start_at(self) -> datetime | None:
        """When the stretch of time begins; None where not grouped by time."""
        return max((bucket.start_at for bucket in self.buckets), default=None)

    @property
    def end_at(self) -> datetime | None:
        """When the stretch of time ends; None where not grouped by time."""
        return min((bucket.end_at for bucket in self.buckets), default=None)


def row_of(group: Group, tally: Tally) -> UsageRow:
    """The row of a group that is added up."""
    names = tally.names
    labels = [
        part.bucket.label
        if part.bucket is not None
        else label_of(part, None if (known := names.get(part.dimension)) is None else known.name)
        for part in group
    ]
    return UsageRow(group, tuple(labels), tally.usage)


def label_of(part: GroupPart, name: str | None) -> str:
    """What is shown for one dimension of a group; `name` is that of the thing, where one is known."""
    if part.bucket is not None:
        return part.bucket.label
    if part.id is None:
        return _NO_NAME.get(part.dimension, NOT_IDENTIFIED)
    return name or ""


class UsageOrder(StrEnum):
    """What rows can be ordered by."""

    LABEL = "LABEL"
    TIME = "TIME"
    ENERGY = "ENERGY"
    SESSION_COUNT = "SESSION_COUNT"
    CONNECTED_TIME = "CONNECTED_TIME"
    COST = "COST"


SortValue = tuple[object, ...]


class _ByLabel:
    """Dimension by dimension; time by its instants, what is not identified last. What has the same label goes by what it is."""

    def __init__(self) -> None:
        # Of many rows by two dimensions each part is there again and again, as the same object: to make its key costs more than to find it.
        self._known: dict[tuple[int, str], tuple[bool, str, str, int]] = {}

    def __call__(self, row: UsageRow) -> list[tuple[bool, str, str, int]]:
        known = self._known
        key = []
        for part, label in zip(row.group, row.labels, strict=True):
            found = known.get((id(part), label))
            if found is None:
                found = known[id(part), label] = _key(part, label)
            key.append(found)
        return key


def _key(part: GroupPart, label: str) -> tuple[bool, str, str, int]:
    is_last = part.id is None and part.bucket is None
    return is_last, _sortable(part, label), label, 0 if part.id is None else part.id.int


def _sortable(part: GroupPart, label: str) -> str:
    return _iso(part.bucket.start_at) if part.bucket is not None else label.casefold()


def _by_cost(row: UsageRow) -> list[tuple[str, int]]:
    """Currency by currency: nobody compares amounts of two."""
    return [(one.currency, one.total_minor) for one in row.usage.costs.sums]


_FIGURES = {
    UsageOrder.ENERGY: lambda row: row.usage.energy_wh,
    UsageOrder.SESSION_COUNT: lambda row: row.usage.session_count,
    UsageOrder.CONNECTED_TIME: lambda row: row.usage.connected_s,
}


def ordered(
    rows: Iterable[UsageRow], order: UsageOrder = UsageOrder.LABEL, *, is_descending: bool = False
) -> list[UsageRow]:
    """The rows in that order; equal ones by label, then by what they are of."""
    given = list(rows)
    by_label = _sorted(given, _ByLabel())
    if order is UsageOrder.LABEL:
        return by_label[::-1] if is_descending else by_label
    if order is UsageOrder.TIME:
        timed = [row for row in by_label if row.start_at is not None]
        rest = [row for row in by_label if row.start_at is None]
        return _sorted(timed, lambda row: str(row.start_at), is_descending) + rest
    if order is UsageOrder.COST:
        priced = [row for row in by_label if row.usage.costs.sums]
        rest = [row for row in by_label if not row.usage.costs.sums]
        return _sorted(priced, _by_cost, is_descending) + rest
    figure = _FIGURES.get(order)
    return by_label if figure is None else _sorted(by_label, figure, is_descending)


_A_RUN = 1_000
"""Rows that are sorted by one call: a millisecond or two, in which no other thread of the process does anything."""


def _sorted(rows: Sequence[UsageRow], key: Callable[[UsageRow], Any], is_descending: bool = False) -> list[UsageRow]:
    """As `sorted`, in a thread with turns for others, however many rows there are."""
    runs = [
        sorted(rows[first : first + _A_RUN], key=key, reverse=is_descending) for first in range(0, len(rows), _A_RUN)
    ]
    return runs[0] if len(runs) == 1 else list(heapq.merge(*runs, key=key, reverse=is_descending))


class EmptyReason(StrEnum):
    """Why a summary has no rows."""

    NO_SESSIONS = "NO_SESSIONS"
    NONE_IN_PERIOD = "NONE_IN_PERIOD"
    CHARGERS_OFFLINE = "CHARGERS_OFFLINE"
    FILTERED_OUT = "FILTERED_OUT"


@dataclass(frozen=True, slots=True)
class EmptyUsage:
    """Why there are no rows, in words too."""

    reason: EmptyReason
    text: str
    nearest_session_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SilentCharger:
    """A charger whose last delivered record is older than the end of the period."""

    charger_id: UUID
    since: datetime


@dataclass(frozen=True, slots=True)
class Coverage:
    """Chargers that may still have sessions of the period to deliver, longest silent first, at most 1,000."""

    silent: tuple[SilentCharger, ...]
    unlisted: int = 0
    """Silent ones that are not listed, as they are not there any more."""

    @property
    def is_complete(self) -> bool:
        """Whether every charger has delivered."""
        return not self.silent and not self.unlisted


@dataclass(frozen=True, slots=True)
class UsageSummary:
    """The answer; `total` is the sum of all rows."""

    question: UsageQuestion
    period: Period
    rows: tuple[UsageRow, ...]
    total: Usage
    covered: Coverage | None
    """None where it was not asked for."""
    empty_because: EmptyUsage | None
    installation_names: tuple[str, ...]
    made_at: datetime

    @property
    def coverage(self) -> Coverage:
        """How complete it is; LookupError where that was not asked for."""
        if self.covered is None:
            raise LookupError("nobody asked how complete the summary is")
        return self.covered

    @property
    def zone(self) -> ZoneInfo:
        """The zone of the period and its days."""
        return self.period.zone


def time_dimensions(question: UsageQuestion) -> tuple[UsageDimension, ...]:
    """Those of the question's dimensions that are stretches of time."""
    return tuple(dimension for dimension in question.group_by if dimension in TIME_DIMENSIONS)
