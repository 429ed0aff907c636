import json
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.ocpp.v16.incoming import MeterValues, PlainMeterValues
from devices.ocpp.v16.samples import plain_samples, samples

VALUE = st.fixed_dictionaries(
    {
        "value": st.sampled_from(
            ["0", "16.0", "1e3", "-4", "57644962", "2.5", "4000000000", "1e15", "nan", " 7 ", "1_0", "", 7, 2.5]
        )
    },
    optional={
        "context": st.sampled_from(["Sample.Periodic", "Trigger", "Own.Context", "", None]),
        "format": st.sampled_from(["Raw", "SignedData"]),
        "measurand": st.sampled_from(
            [
                "Energy.Active.Import.Register",
                "Power.Active.Import",
                "Current.Import",
                "Voltage",
                "SoC",
                "Current.Offered",
                "RPM",
            ]
        ),
        "phase": st.sampled_from(["L1", "L2", "L3", "L1-N", "L2-L3", "N", "null"]),
        "location": st.sampled_from(["Outlet", "Inlet"]),
        "unit": st.sampled_from(["Wh", "kWh", "W", "kW", "A", "V", "Percent", "null", "Fahrenheit"]),
    },
)


def both(values: list[dict[str, Any]]) -> None:
    """What the short way reads, the careful one reads too, with nothing to forgive."""
    message = {"connectorId": 1, "meterValue": [{"timestamp": "2026-03-01T12:00:00Z", "sampledValue": values}]}
    text = json.dumps(message).encode()
    plain_names: list[str] = []
    plain = plain_samples(msgspec.json.decode(text, type=PlainMeterValues).meter_value, plain_names)
    if plain is not None:
        names: list[str] = []
        assert plain == samples(msgspec.json.decode(text, type=MeterValues).meter_value, names)
        assert plain_names == names == []


@given(st.lists(VALUE, max_size=4))
@settings(max_examples=600, deadline=None)
def test_the_short_way_reads_what_the_careful_one_does(values: list[dict[str, Any]]) -> None:
    """Plain meter values are the same samples, whichever way they are read."""
    both(values)


def test_an_ordinary_message_takes_the_short_way() -> None:
    """Register, power, currents and voltages as the standard has them need no careful reading."""
    values = [
        {"value": "1000", "measurand": "Energy.Active.Import.Register", "unit": "Wh"},
        {"value": "11.04", "measurand": "Power.Active.Import", "unit": "kW"},
        *({"value": "16.0", "measurand": "Current.Import", "phase": f"L{n}", "unit": "A"} for n in (1, 2, 3)),
        *({"value": "230.0", "measurand": "Voltage", "phase": f"L{n}-N", "unit": "V"} for n in (1, 2, 3)),
    ]
    text = json.dumps({"connectorId": 1, "meterValue": [{"timestamp": "2026-03-01T12:00:00Z", "sampledValue": values}]})
    (sample,) = plain_samples(msgspec.json.decode(text, type=PlainMeterValues).meter_value, []) or ()
    assert (sample.register_wh, sample.power_w) == (1000, 11040.0)
    assert (sample.currents, sample.voltages) == ((16.0, 16.0, 16.0), (230.0, 230.0, 230.0))
    both(values)
