"""Which limit of a site's current is in force: what a person set, what a schedule says, or the main breaker. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from domain import sql
from domain.current.current_schedule import ScheduleEntry, read, scheduled
from domain.roles import AvailableCurrentMode
from domain.units import PhaseAmps


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What is set at a site. `resumes` is the mode that a limit with an end put aside: it is back when that has ended."""

    mode: AvailableCurrentMode
    time_zone: str
    resumes: AvailableCurrentMode | None = None
    chosen: PhaseAmps | None = None
    fallback: PhaseAmps | None = None
    expires_at: datetime | None = None
    schedule: Sequence[ScheduleEntry] = ()

    def is_over(self, now: datetime) -> bool:
        """Whether the limit that a person set has ended."""
        return self.expires_at is not None and self.expires_at <= now

    def mode_at(self, now: datetime) -> AvailableCurrentMode:
        """What decides now."""
        return self.resumes if self.is_over(now) and self.resumes is not None else self.mode

    def at(self, now: datetime) -> PhaseAmps | None:
        """The limit in force now; None: the main breaker.

        After the end of what a person set, the fallback holds, and where a schedule is back, the lower of the two.
        """
        mode, is_over = self.mode_at(now), self.is_over(now)
        found = [self.fallback if is_over else self.chosen] if is_over or mode is AvailableCurrentMode.MANUAL else []
        if mode is AvailableCurrentMode.SCHEDULE:
            found.append(scheduled(self.schedule, time_zone=self.time_zone, now=now))
        return _lowest([one for one in found if one is not None])


def _lowest(limits: Sequence[PhaseAmps]) -> PhaseAmps | None:
    if not limits:
        return None
    return PhaseAmps(*(min(line) for line in zip(*(limit.as_tuple() for limit in limits), strict=True)))


def current_in_force(limits: Limits, *, breaker: PhaseAmps, now: datetime) -> PhaseAmps:
    """The site's limit at `now`: in the absence of another, and at most, the main breaker."""
    found = limits.at(now)
    return breaker if found is None else PhaseAmps(*map(min, found.as_tuple(), breaker.as_tuple()))


def limits_of(row: Mapping[str, Any]) -> Limits:
    """Those of a row of `installations`."""
    resumes = row["resumed_mode"]
    return Limits(
        mode=AvailableCurrentMode(row["available_mode"]),
        time_zone=row["time_zone"],
        resumes=None if resumes is None else AvailableCurrentMode(resumes),
        chosen=_amps(row, "available"),
        fallback=_amps(row, "fallback"),
        expires_at=sql.optional_instant_of(row["available_expires_at"]),
        schedule=read(row["current_schedule"]),
    )


def _amps(row: Mapping[str, Any], kind: str) -> PhaseAmps | None:
    values = [row[f"{kind}_l{line}"] for line in (1, 2, 3)]
    return None if None in values else PhaseAmps(*values)
