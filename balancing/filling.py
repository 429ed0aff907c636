"""Exact weighted max-min fair currents for given modes: progressive filling with bottleneck detection.

All shares rise together from 0; a car holds its minimum until the level reaches it, and stops where it or one of its
rows is full. The feasible set has free disposal and every row grows strictly with each of its cars, so the cars that
stop are exactly those that cannot rise without lowering a smaller share. Between two events every row's current is
linear in the level (a line in the plane for phasors), so bottlenecks are solved for, never searched.
"""

import heapq
import math
from collections.abc import Sequence

from balancing.problem import SLACK, Option

OWN_LIMIT = -1
"""In place of a row: the car's own maximum stopped it."""


class _Group:
    """Cars with equal options, which share one current."""

    __slots__ = ("count", "current", "is_rising", "option", "stopped_by")

    def __init__(self, option: Option) -> None:
        self.option = option
        self.count = 0
        self.current = option.lowest
        self.is_rising = False
        self.stopped_by: int | None = None


def fill(options: Sequence[Option], capacity: Sequence[float]) -> tuple[list[float], list[int]]:
    """Per option its current, and the row that stopped it or OWN_LIMIT.

    The options' minima fit the rows together; `capacity` is per row.
    """
    groups: dict[int, _Group] = {}
    members: list[_Group] = []
    for option in options:
        # Equal options of one problem are one object, and that is cheaper to compare than their fields.
        group = groups.get(id(option))
        if group is None:
            group = groups[id(option)] = _Group(option)
        group.count += 1
        members.append(group)
    _Filling(list(groups.values()), capacity).run()
    return (
        [group.current for group in members],
        [OWN_LIMIT if group.stopped_by is None else group.stopped_by for group in members],
    )


class _Filling:
    """One run: per row the current of cars that hold (`fixed`), the rise of the others per level (`slope`)."""

    __slots__ = ("bottlenecks", "capacity", "fixed", "groups", "level", "on_row", "rising", "slope", "version")

    def __init__(self, groups: list[_Group], capacity: Sequence[float]) -> None:
        self.groups = groups
        self.capacity = capacity
        self.level = 0.0
        self.on_row: dict[int, list[_Group]] = _rows_that_can_bind(groups, capacity)
        self.fixed = {row: [0.0, 0.0] for row in self.on_row}
        self.slope = {row: [0.0, 0.0] for row in self.on_row}
        self.rising = dict.fromkeys(self.on_row, 0)
        self.version = dict.fromkeys(self.on_row, 0)
        self.bottlenecks: list[tuple[float, int, int]] = []

    def run(self) -> None:
        events: list[tuple[float, int, int]] = []
        for number, group in enumerate(self.groups):
            option = group.option
            self._add(self.fixed, group, option.lowest)
            if option.lowest >= option.highest:
                group.stopped_by = OWN_LIMIT
                continue
            events.append((option.lowest * option.share_per_ampere, 0, number))
            events.append((option.highest * option.share_per_ampere, 1, number))
        events.sort()
        for level, is_end, number in events:
            self._stop_at_bottlenecks(before=level)
            group = self.groups[number]
            if group.stopped_by is not None:
                continue
            self.level = max(self.level, level)
            if is_end:
                self._stop(group, group.option.highest, OWN_LIMIT)
            else:
                self._start(group)
        self._stop_at_bottlenecks(before=math.inf)

    def _add(self, sums: dict[int, list[float]], group: _Group, amount: float) -> None:
        total = amount * group.count
        for row, (along, across) in zip(group.option.rows, group.option.loads, strict=True):
            if row in sums:
                sums[row][0] += total * along
                sums[row][1] += total * across

    def _start(self, group: _Group) -> None:
        group.is_rising = True
        self._add(self.fixed, group, -group.option.lowest)
        self._add(self.slope, group, 1 / group.option.share_per_ampere)
        self._refresh(group, 1)

    def _stop(self, group: _Group, current: float, row: int) -> None:
        group.stopped_by = row
        group.current = current
        if group.is_rising:
            group.is_rising = False
            self._add(self.slope, group, -1 / group.option.share_per_ampere)
            self._add(self.fixed, group, current)
            self._refresh(group, -1)

    def _refresh(self, group: _Group, change: int) -> None:
        for row in group.option.rows:
            if row not in self.rising:
                continue
            self.rising[row] += change
            self.version[row] += 1
            if self.rising[row] == 0:
                self.slope[row] = [0.0, 0.0]
                continue
            heapq.heappush(self.bottlenecks, (self._full_at(row), row, self.version[row]))

    def _full_at(self, row: int) -> float:
        (fixed, across), (slope, slope_across) = self.fixed[row], self.slope[row]
        capacity = self.capacity[row]
        if not across and not slope_across:
            return (capacity - fixed) / slope
        square = slope * slope + slope_across * slope_across
        half = fixed * slope + across * slope_across
        rest = fixed * fixed + across * across - capacity * capacity
        # Phasors lie within 60° of each other, so half >= 0 and this form loses no digits.
        return -rest / (half + math.sqrt(max(0.0, half * half - square * rest)))

    def _stop_at_bottlenecks(self, *, before: float) -> None:
        bottlenecks = self.bottlenecks
        while bottlenecks and bottlenecks[0][0] < before:
            level, row, version = heapq.heappop(bottlenecks)
            if version != self.version[row]:
                continue
            self.level = max(self.level, level)
            for group in self.on_row[row]:
                if group.stopped_by is None:
                    self._stop(group, self._current_of(group), row)

    def _current_of(self, group: _Group) -> float:
        option = group.option
        if not group.is_rising:
            return option.lowest
        return min(option.highest, max(option.lowest, self.level / option.share_per_ampere))


def _rows_that_can_bind(groups: list[_Group], capacity: Sequence[float]) -> dict[int, list[_Group]]:
    """Row → its groups, for rows that these cars' maxima together exceed."""
    on_row: dict[int, list[_Group]] = {}
    most: dict[int, list[float]] = {}
    for group in groups:
        total = group.count * group.option.highest
        for row, (along, across) in zip(group.option.rows, group.option.loads, strict=True):
            on_row.setdefault(row, []).append(group)
            sums = most.setdefault(row, [0.0, 0.0])
            sums[0] += total * along
            sums[1] += total * across
    return {row: found for row, found in on_row.items() if math.hypot(*most[row]) > capacity[row] + SLACK}
