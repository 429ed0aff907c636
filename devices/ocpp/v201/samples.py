"""Meter values of OCPP 2.0.1 as samples: those of 1.6 but for their spelling."""

from collections.abc import Iterator

import msgspec

from devices.ocpp.leniency import Leniency, Names, number
from devices.ocpp.v16 import incoming as v16
from devices.ocpp.v16 import samples as v16_samples
from devices.ocpp.v201.incoming import MeterValue, SampledValue, UnitOfMeasure
from domain.observations import Sample

LARGEST_MULTIPLIER = 9
_NO_UNIT = UnitOfMeasure()


def samples(values: list[MeterValue] | None, names: Names) -> tuple[Sample, ...]:
    """The samples in the order in which they came; what had to be forgiven is appended to `names`."""
    return v16_samples.samples([_respelled(value, names) for value in values or ()], names)


def register_at(found: tuple[Sample, ...], context: str, *, is_last: bool) -> int | None:
    """The register of that context in Wh, else the first or last one; None where there is none."""
    registers = [(one.context, one.register_wh) for one in found if one.register_wh is not None]
    named = [register for of, register in registers if of == context]
    chosen = named or [register for _, register in registers]
    return None if not chosen else chosen[-1 if is_last else 0]


def _respelled(value: MeterValue, names: Names) -> v16.MeterValue:
    sampled = [one for taken in value.sampled_value or () for one in _values(taken, names)]
    return v16.MeterValue(timestamp=value.timestamp, sampled_value=sampled)


def _values(taken: SampledValue, names: Names) -> Iterator[v16.SampledValue]:
    """The value, and beside it its signature where it has one."""
    unit = taken.unit_of_measure or _NO_UNIT
    yield v16.SampledValue(
        value=_scaled(taken, unit.multiplier or 0, names),
        context=taken.context,
        measurand=taken.measurand,
        phase=taken.phase,
        location=taken.location,
        unit=unit.unit,
    )
    if taken.signed_meter_value is not None and taken.signed_meter_value.signed_meter_data:
        signed = msgspec.json.encode(taken.signed_meter_value).decode()
        yield v16.SampledValue(value=signed, context=taken.context, location=taken.location, format="SignedData")


def _scaled(taken: SampledValue, multiplier: int, names: Names) -> float | None:
    if not isinstance(taken.value, int | float | str):
        return None
    found = number(taken.value, names)
    if isinstance(taken.value, str):
        names.append(Leniency.LOOSE_TYPES)
    if found is None:
        return None
    if not -LARGEST_MULTIPLIER <= multiplier <= LARGEST_MULTIPLIER:
        names.append(Leniency.UNIT_IMPLAUSIBLE)
        multiplier = 0
    scaled = found * 10.0**multiplier
    is_wh = (taken.measurand or v16_samples.DEFAULT_MEASURAND) == v16_samples.DEFAULT_MEASURAND and (
        taken.unit_of_measure is None or taken.unit_of_measure.unit in (None, "Wh")
    )
    # Here a register may have a fraction of a Wh, which needs no forgiveness as it does in 1.6.
    return float(round(scaled)) if is_wh else scaled
