"""How each kind of charger wants to be spoken to: facts by vendor, model and firmware, with a default for whatever is not named.

Later facts go before earlier ones: the default, the table that comes with Lade (`charger_models.toml`), what chargers of that kind
have said or shown, and the operator's own table.
"""

import contextlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from importlib import resources
from pathlib import Path
from typing import Any


class RateUnit(StrEnum):
    """What a charging profile's limits are given in (OCPP 1.6 §7.14)."""

    AMPERE = "A"
    WATT = "W"


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """One kind of charger. The default suits what keeps to the standard."""

    ping_every_s: int = 30
    """How often its socket is pinged; 0 for firmware that does not survive it."""
    silent_after_s: int = 900
    """How long it may say nothing, where it has never answered a ping; else three pings decide."""
    takes_triggers: bool = True
    """Whether it can be asked for a message (TriggerMessage)."""
    takes_phase_to_use: bool = False
    """Whether it can be told which of its terminals feeds a car on one (OCPP 2.0.1 ACPhaseSwitchingSupported)."""
    keeps_schedules: bool = True
    """Whether it follows a profile's later periods by itself, and takes one of 0 A. Else what it may do alone counts at all times."""
    rate_unit: RateUnit = RateUnit.AMPERE
    most_stack_level: int = 1
    """The highest stack level of a profile that it takes, of those that are used here: 0 or 1."""
    write_interval_s: int = 0
    """Least time between two increases of a limit: profiles wear some chargers' flash. Reductions always go."""
    phase_switch_pause_s: int = 10
    """How long it rests after it was told to feed its car on other phases, before it is offered current again."""
    writes_a_day: int | None = None
    """Most increases in 24 hours; None for any number. A car that gets nothing at all is not kept waiting by it."""


DEFAULT = Capabilities()


@dataclass(frozen=True, slots=True)
class Kind:
    """What a charger says of itself (BootNotification); empty where it has not."""

    vendor: str = ""
    model: str = ""
    firmware: str = ""


NOBODY_KNOWS = Kind()


@dataclass(frozen=True, slots=True)
class _Entry:
    """A row of a table: shell patterns, whatever the case, and what holds for those that match."""

    vendor: str
    model: str
    firmware: str
    facts: Mapping[str, object]

    def matches(self, kind: Kind) -> bool:
        said = (kind.vendor, kind.model, kind.firmware)
        return all(map(_fits, said, (self.vendor, self.model, self.firmware)))


class ModelsError(ValueError):
    """A table of charger models cannot be used; the message names the place."""


class ChargerModels:
    """The capabilities of every kind of charger: from the tables that it was made of, and from what has been learnt."""

    def __init__(self, shipped: str, own: str = "") -> None:
        self._shipped = _read(shipped)
        self._own = _read(own)

    @classmethod
    def load(cls, own: Path | None = None) -> "ChargerModels":
        """With the operator's own table where the file exists. ModelsError names what is wrong in it."""
        shipped = resources.files("domain.equipment").joinpath("charger_models.toml").read_text("utf-8")
        try:
            return cls(shipped, own.read_text("utf-8") if own is not None and own.exists() else "")
        except ModelsError as error:
            raise ModelsError(f"{own}: {error}") from error

    def of(self, kind: Kind, learnt: Mapping[str, object] | None = None) -> Capabilities:
        """What holds for that kind. What was learnt and is no longer understood is left out."""
        found = DEFAULT
        for entry in self._shipped:
            found = _with(found, entry, kind)
        with contextlib.suppress(ModelsError):
            found = replace(found, **_checked(learnt or {}))
        for entry in self._own:
            found = _with(found, entry, kind)
        return found


def _with(found: Capabilities, entry: _Entry, kind: Kind) -> Capabilities:
    return replace(found, **_checked(entry.facts)) if entry.matches(kind) else found


def _fits(said: str, pattern: str) -> bool:
    return fnmatchcase(said.lower(), pattern.lower())


_NAMES = ("vendor", "model", "firmware")


def _read(text: str) -> list[_Entry]:
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ModelsError(f"it is not TOML: {error}") from error
    rows = table.pop("charger", [])
    if table or not isinstance(rows, list):
        raise ModelsError(f"only [[charger]] tables are understood, not {', '.join(table) or 'this'}")
    return [_entry(row, number) for number, row in enumerate(rows, start=1)]


def _entry(row: Mapping[str, Any], number: int) -> _Entry:
    vendor, model, firmware = (str(row.get(name, "*")) for name in _NAMES)
    facts = {name: value for name, value in row.items() if name not in _NAMES}
    try:
        _checked(facts)
    except ModelsError as error:
        raise ModelsError(f"charger {number}: {error}") from error
    return _Entry(vendor, model, firmware, facts)


_LEAST = {"silent_after_s": 60}
_MOST = {"most_stack_level": 1}
_FLAGS = {"takes_triggers", "takes_phase_to_use", "keeps_schedules"}
_KNOWN = {one.name for one in fields(Capabilities)}


def _checked(facts: Mapping[str, object]) -> dict[str, Any]:
    return dict(map(_one_checked, facts.items()))


def _one_checked(fact: tuple[str, object]) -> tuple[str, object]:
    name, value = fact
    if name not in _KNOWN:
        raise ModelsError(f"there is no {name}; known are {', '.join(sorted(_KNOWN))}")
    if name == "rate_unit":
        if value not in set(RateUnit):
            raise ModelsError(f'rate_unit is "A" or "W", not {value!r}')
        return name, RateUnit(str(value))
    if name in _FLAGS:
        if not isinstance(value, bool):
            raise ModelsError(f"{name} is true or false, not {value!r}")
        return name, value
    least, most = _LEAST.get(name, 0), _MOST.get(name, 10**6)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ModelsError(f"{name} is a whole number from {least} to {most}, not {value!r}")
    return name, value
