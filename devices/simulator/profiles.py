"""Charging profiles as a charge point holds them, and the limit they make at an instant (OCPP 1.6 §3.13; pure)."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from msgspec import UNSET, UnsetType

from devices.ocpp.v16.messages import ClearChargingProfile, CsChargingProfiles
from devices.simulator.car import TERMINALS, VOLTAGE_V

MAX_PROFILE = "ChargePointMaxProfile"
DEFAULT_PROFILE = "TxDefaultProfile"
TRANSACTION_PROFILE = "TxProfile"
RECURRENCE_S = {"Daily": 86_400.0, "Weekly": 604_800.0}
WHOLE_STATION = 0


@dataclass(frozen=True, slots=True)
class Limit:
    """At most this current on each of this many terminals."""

    current_a: float
    phases: int = TERMINALS


@dataclass(frozen=True, slots=True)
class Moment:
    """When a limit is asked for: by the charger's clock, and how long the transaction has lasted (None: there is none)."""

    at: datetime
    transaction_s: float | None = None


@dataclass(slots=True)
class Profiles:
    """What is installed at a charger with one connector."""

    installed: dict[tuple[str, int], CsChargingProfiles] = field(default_factory=dict)

    def install(self, profile: CsChargingProfiles, *, transaction_id: int | None) -> bool:
        """Whether it was taken: a TxProfile only for the transaction that runs. One with the same id, or purpose and level, is replaced."""
        purpose = profile.charging_profile_purpose
        if purpose == TRANSACTION_PROFILE and not self._fits(profile, transaction_id):
            return False
        if not profile.charging_schedule.charging_schedule_period:
            return False
        kept = {
            key: held for key, held in self.installed.items() if held.charging_profile_id != profile.charging_profile_id
        }
        self.installed = {**kept, (purpose, profile.stack_level): profile}
        return True

    @staticmethod
    def _fits(profile: CsChargingProfiles, transaction_id: int | None) -> bool:
        return transaction_id is not None and profile.transaction_id in (UNSET, transaction_id)

    def clear(self, request: ClearChargingProfile) -> bool:
        """Whether one was removed: the one with the id, else all that match what is given."""
        doomed = [
            key
            for key, held in self.installed.items()
            if _matches(request.id, held.charging_profile_id)
            and _matches(request.charging_profile_purpose, held.charging_profile_purpose)
            and _matches(request.stack_level, held.stack_level)
        ]
        for key in doomed:
            del self.installed[key]
        return bool(doomed)

    def end_transaction(self) -> None:
        """TxProfiles go with their transaction."""
        self.installed = {key: held for key, held in self.installed.items() if key[0] != TRANSACTION_PROFILE}

    def limit(self, moment: Moment, *, most_a: float) -> Limit:
        """What the pilot offers: the highest level that applies, TxProfile before TxDefaultProfile, under the station's maximum."""
        own = self._of(TRANSACTION_PROFILE, moment) or self._of(DEFAULT_PROFILE, moment) or Limit(most_a)
        station = self._of(MAX_PROFILE, moment) or Limit(most_a)
        current = max(0.0, min(own.current_a, station.current_a, most_a))
        return Limit(current, min(own.phases, station.phases))

    def _of(self, purpose: str, moment: Moment) -> Limit | None:
        levels = sorted((key for key in self.installed if key[0] == purpose), key=lambda key: key[1], reverse=True)
        found = (_limit_of(self.installed[key], moment) for key in levels)
        return next((limit for limit in found if limit is not None), None)


def _matches(asked: object, held: object) -> bool:
    return isinstance(asked, UnsetType) or asked == held


def _limit_of(profile: CsChargingProfiles, moment: Moment) -> Limit | None:
    """The limit now; None where the profile or its schedule does not apply now."""
    if not _is_valid(profile, moment.at):
        return None
    elapsed = _elapsed_s(profile, moment)
    schedule = profile.charging_schedule
    is_over = not isinstance(schedule.duration, UnsetType) and elapsed is not None and elapsed >= schedule.duration
    if elapsed is None or elapsed < 0 or is_over:
        return None
    period = None
    for candidate in schedule.charging_schedule_period:
        if candidate.start_period <= elapsed:
            period = candidate
    if period is None:
        return None
    phases = TERMINALS if isinstance(period.number_phases, UnsetType) else period.number_phases
    current = period.limit if schedule.charging_rate_unit == "A" else period.limit / (VOLTAGE_V * phases)
    return Limit(current, phases)


def _is_valid(profile: CsChargingProfiles, at: datetime) -> bool:
    begins = None if isinstance(profile.valid_from, UnsetType) else _instant(profile.valid_from)
    ends = None if isinstance(profile.valid_to, UnsetType) else _instant(profile.valid_to)
    return (begins is None or begins <= at) and (ends is None or at < ends)


def _elapsed_s(profile: CsChargingProfiles, moment: Moment) -> float | None:
    """Seconds since the schedule began; None before a transaction where it begins with one."""
    start = profile.charging_schedule.start_schedule
    if profile.charging_profile_kind == "Relative" or isinstance(start, UnsetType):
        return moment.transaction_s
    elapsed = (moment.at - _instant(start)).total_seconds()
    if profile.charging_profile_kind == "Recurring" and not isinstance(profile.recurrency_kind, UnsetType):
        return elapsed % RECURRENCE_S[profile.recurrency_kind]
    return elapsed


def _instant(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
