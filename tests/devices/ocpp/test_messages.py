import random
from pathlib import Path

import pytest

from devices.ocpp import generate
from tests.devices.ocpp.strange import is_readable, is_valid, message, schemas, struct_for

MUTATIONS = 240


@pytest.mark.parametrize("version", generate.VERSIONS)
def test_the_modules_are_current(version: str) -> None:
    """The committed message types are what the generator makes of the shipped schemas."""
    committed = Path(generate.HERE / version / "messages.py").read_text(encoding="utf-8")
    assert committed == generate.source(version)


@pytest.mark.parametrize("version", generate.VERSIONS)
def test_verdicts_are_the_schemas(version: str) -> None:
    """Valid and mutated messages get the same verdict from the generated type and from the JSON schema."""
    pick = random.Random(5)
    checked: list[bool] = []
    stems = list(schemas(version))
    for number in range(MUTATIONS):
        stem = stems[number % len(stems)]
        text = message(version, stem, pick, is_mutilated=number % 4 > 0)
        expected = is_valid(version, stem, text)
        assert is_readable(struct_for(version, stem), text) is expected, (stem, text)
        checked.append(expected)
    assert 40 < sum(checked) < MUTATIONS - 40


def test_limits_have_one_decimal() -> None:
    """A limit is a multiple of 0.1 A, though 21.4 / 0.1 is no whole number in binary."""
    period = struct_for("v16", "SetChargingProfile")
    text = (
        '{"connectorId":1,"csChargingProfiles":{"chargingProfileId":1,"stackLevel":0,"chargingProfilePurpose":"TxProfile",'
        '"chargingProfileKind":"Relative","chargingSchedule":{"chargingRateUnit":"A","chargingSchedulePeriod":'
        '[{"startPeriod":0,"limit":%s}]}}}'
    )
    assert [is_readable(period, text % limit) for limit in ("21.4", "16", "0.3", "21.45")] == [True, True, True, False]


def test_check_says_what_is_not_current(capsys: pytest.CaptureFixture[str]) -> None:
    """`--check` writes nothing and ends well when all is current."""
    assert generate.main(["--check"]) == 0
    assert capsys.readouterr().out == "messages.py of v16: current\nmessages.py of v201: current\n"
