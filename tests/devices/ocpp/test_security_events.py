"""Security events that are a reason to look at a charger, and those that are not."""

from datetime import UTC, datetime

import pytest

from devices.ocpp.security_events import WORRYING, observed
from domain.roles import AlertKind

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
EVERY_DAY = (
    "StartupOfTheDevice",
    "ResetOrReboot",
    "FirmwareUpdated",
    "SettingSystemTime",
    "SomethingOfTheVendor",
    "",
    None,
)


@pytest.mark.parametrize("name", WORRYING)
def test_what_is_worrying_is_a_fault_of_the_station(name: str) -> None:
    """Under its name and in words of ours."""
    (found,) = observed(name, charger_time=NOON, received_at=NOON)
    assert (found.kind, found.evse, found.is_cleared) == (AlertKind.SECURITY, 0, False)
    assert (found.vendor_code, found.info) == (name, WORRYING[name])


@pytest.mark.parametrize("name", EVERY_DAY)
def test_what_happens_every_day_is_none(name: str | None) -> None:
    """Critical to OCPP are restarts, updates and set clocks, too; among them the others would not be seen."""
    assert observed(name, charger_time=NOON, received_at=NOON) == ()
