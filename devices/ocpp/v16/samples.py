"""Meter values of OCPP 1.6 (§4.7, §7.31) as samples: one for each instant and context, the measurands as a table."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import msgspec
from msgspec import UNSET, UnsetType

from devices.ocpp.frames import UNREADABLE
from devices.ocpp.leniency import HUGE_WH, LARGEST_NUMBER, Leniency, Names, clean, instant, number, register_wh
from devices.ocpp.v16.incoming import MeterValue, PlainMeterValue, PlainValue, SampledValue
from domain.equipment.ocmf import LONGEST_SIGNED
from domain.observations import Sample

DEFAULT_CONTEXT = "Sample.Periodic"
DEFAULT_MEASURAND = "Energy.Active.Import.Register"
MAX_CONTEXT = 50

TERMINALS = {"L1": 0, "L2": 1, "L3": 2, "L1-N": 0, "L2-N": 1, "L3-N": 2, "L1-L2": 0, "L2-L3": 1, "L3-L1": 2}
"""Phase as a charger names it → index of its terminal. Line-to-line values (IT supplies) stand at their first line."""

WH_PER_UNIT = {"Wh": 1.0, "kWh": 1000.0}
W_PER_UNIT = {"W": 1.0, "kW": 1000.0, "VA": 1.0, "kVA": 1000.0}


@dataclass(slots=True)
class _Draft:
    """One sample while its values are being collected. Values for the whole and by phase are kept apart: the whole wins over the sum."""

    context: str
    total_wh: int | None = None
    phase_wh: dict[int, int] = field(default_factory=dict)
    total_w: float | None = None
    phase_w: dict[int, float] = field(default_factory=dict)
    currents: list[float | None] = field(default_factory=lambda: [None, None, None])
    voltages: list[float | None] = field(default_factory=lambda: [None, None, None])
    soc_percent: float | None = None
    offered_a: float | None = None
    signed_payload: str | None = None

    def sample(self, at: datetime | None) -> Sample:
        """The finished sample."""
        return Sample(
            at=at,
            context=self.context,
            register_wh=sum(self.phase_wh.values()) if self.total_wh is None and self.phase_wh else self.total_wh,
            power_w=sum(self.phase_w.values()) if self.total_w is None and self.phase_w else self.total_w,
            currents=(self.currents[0], self.currents[1], self.currents[2]),
            voltages=(self.voltages[0], self.voltages[1], self.voltages[2]),
            soc_percent=self.soc_percent,
            offered_a=self.offered_a,
            signed_payload=self.signed_payload,
        )


def _energy(draft: _Draft, value: SampledValue, names: Names) -> None:
    energy = register_wh(value.value, names, scale=_scale(value.unit, WH_PER_UNIT, names))
    if energy is None:
        return
    terminal = _terminal(value.phase, names)
    if terminal is not None:
        draft.phase_wh[terminal] = energy
    elif value.phase is None and draft.total_wh is None:
        draft.total_wh = energy


def _power(draft: _Draft, value: SampledValue, names: Names) -> None:
    power = number(value.value, names)
    if power is None:
        return
    power *= _scale(value.unit, W_PER_UNIT, names)
    terminal = _terminal(value.phase, names)
    if terminal is not None:
        draft.phase_w[terminal] = power
    elif value.phase is None and draft.total_w is None:
        draft.total_w = power


def _current(draft: _Draft, value: SampledValue, names: Names) -> None:
    _by_terminal(draft.currents, value, names)


def _voltage(draft: _Draft, value: SampledValue, names: Names) -> None:
    _by_terminal(draft.voltages, value, names)


def _by_terminal(values: list[float | None], value: SampledValue, names: Names) -> None:
    if value.phase is None:
        names.append(Leniency.PHASE_ABSENT)
    terminal = 0 if value.phase is None else _terminal(value.phase, names)
    reading = number(value.value, names)
    if terminal is not None and reading is not None and values[terminal] is None:
        values[terminal] = reading


def _soc(draft: _Draft, value: SampledValue, names: Names) -> None:
    draft.soc_percent = number(value.value, names)


def _offered(draft: _Draft, value: SampledValue, names: Names) -> None:
    draft.offered_a = number(value.value, names)


MEASURANDS: dict[str, Callable[[_Draft, SampledValue, Names], None]] = {
    "Energy.Active.Import.Register": _energy,
    "Power.Active.Import": _power,
    "Current.Import": _current,
    "Voltage": _voltage,
    "SoC": _soc,
    "Current.Offered": _offered,
}
"""What we read; every other measurand of §7.31 is valid and not needed."""

OUTLET = (None, "Outlet")
"""Where values are measured unless said otherwise (§7.29); others count only where these have none."""


def _scale(unit: str | None, table: dict[str, float], names: Names) -> float:
    """Factor to the base unit. The standard's default of Wh is meant for energy; a unit that cannot be means the base unit."""
    if unit is None:
        return 1.0
    factor = table.get(unit)
    if factor is None:
        names.append(Leniency.UNIT_IMPLAUSIBLE)
        return 1.0
    return factor


def _terminal(phase: str | None, names: Names) -> int | None:
    if phase is None or phase == "N":
        return None
    terminal = TERMINALS.get(phase)
    if terminal is None:
        names.append(Leniency.UNKNOWN_VALUE)
    return terminal


def samples(values: list[MeterValue] | None, names: Names) -> tuple[Sample, ...]:
    """The samples in the order in which they came; what had to be forgiven is appended to `names`."""
    found: list[Sample] = []
    for value in values or ():
        at = instant(value.timestamp, names)
        found += (draft.sample(at) for draft in _drafts(value.sampled_value or (), names))
    return tuple(found)


_REGISTER, _POWER, _CURRENTS, _VOLTAGES, _SOC, _OFFERED, _PLACES = 0, 1, slice(2, 5), slice(5, 8), 8, 9, 10

_PLAIN: dict[tuple[str | UnsetType, str | UnsetType, str | UnsetType], tuple[int, float]] = {
    **{(measurand, UNSET, UNSET): (_REGISTER, 1.0) for measurand in (UNSET, DEFAULT_MEASURAND)},
    **{
        (measurand, UNSET, unit): (_REGISTER, scale)
        for measurand in (UNSET, DEFAULT_MEASURAND)
        for unit, scale in WH_PER_UNIT.items()
    },
    ("Power.Active.Import", UNSET, UNSET): (_POWER, 1.0),
    **{("Power.Active.Import", UNSET, unit): (_POWER, scale) for unit, scale in W_PER_UNIT.items()},
    **{
        (measurand, phase, unit): (places.start + TERMINALS[phase], 1.0)
        for measurand, places, usual in (("Current.Import", _CURRENTS, "A"), ("Voltage", _VOLTAGES, "V"))
        for phase in ("L1", "L2", "L3", "L1-N", "L2-N", "L3-N")
        for unit in (UNSET, usual)
    },
    **{("SoC", UNSET, unit): (_SOC, 1.0) for unit in (UNSET, "Percent")},
    **{("Current.Offered", UNSET, unit): (_OFFERED, 1.0) for unit in (UNSET, "A")},
}
"""Measurand, phase and unit that need no kindness → where the value belongs, and its scale."""

_PLAIN_VALUES = msgspec.json.Decoder(list[PlainValue], strict=False)


def plain_samples(values: list[PlainMeterValue], names: Names) -> tuple[Sample, ...] | None:
    """As `samples`, three times cheaper; None where something has to be read with care after all."""
    found: list[Sample] = []
    for value in values:
        sample = _plain(value, names)
        if sample is None:
            return None
        found.append(sample)
    return tuple(found)


def _plain(taken: PlainMeterValue, names: Names) -> Sample | None:
    found: list[float | None] = [None] * _PLACES
    try:
        values = _PLAIN_VALUES.decode(taken.sampled_value)
        context = values[0].context
        for value in values:
            index, scale = _PLAIN[value.measurand, value.phase, value.unit]
            reading = value.value
            if found[index] is not None or value.context != context or not -LARGEST_NUMBER < reading < LARGEST_NUMBER:
                return None
            found[index] = reading if scale == 1.0 else reading * scale
    except (LookupError, *UNREADABLE):
        return None
    return _of_places(found, context or DEFAULT_CONTEXT, instant(taken.timestamp, names))


def _of_places(found: list[float | None], context: str, at: datetime | None) -> Sample | None:
    """The sample; None for a register that has to be forgiven something."""
    reading, register_wh = found[_REGISTER], None
    if reading is not None:
        register_wh = round(reading)
        if register_wh != reading or abs(register_wh) > HUGE_WH:
            return None
    return Sample(
        at=at,
        context=context,
        register_wh=register_wh,
        power_w=found[_POWER],
        currents=(found[2], found[3], found[4]),
        voltages=(found[5], found[6], found[7]),
        soc_percent=found[_SOC],
        offered_a=found[_OFFERED],
    )


def _drafts(values: list[SampledValue] | tuple[()], names: Names) -> list[_Draft]:
    drafts: dict[str, _Draft] = {}
    for value in sorted(values, key=_is_elsewhere) if any(map(_is_elsewhere, values)) else values:
        context = clean(value.context, MAX_CONTEXT, names) if value.context is not None else None
        context = context or DEFAULT_CONTEXT
        draft = drafts.get(context)
        if draft is None:
            draft = drafts[context] = _Draft(context)
        if value.format == "SignedData":
            draft.signed_payload = _signed(value, names) or draft.signed_payload
            continue
        read = MEASURANDS.get(value.measurand or DEFAULT_MEASURAND)
        if read is not None:
            read(draft, value, names)
    return list(drafts.values())


def _signed(value: SampledValue, names: Names) -> str | None:
    """The record as it came: a signature is worth nothing for a part of it, so what is too long is left out."""
    if not isinstance(value.value, str):
        names.append(Leniency.ABSENT_FIELD)
        return None
    if len(value.value) > LONGEST_SIGNED:
        names.append(Leniency.OVERSIZED_TEXT)
        return None
    return value.value.strip() or None


def _is_elsewhere(value: SampledValue) -> bool:
    return value.location not in OUTLET
