"""What is remembered of chargers that nobody has added."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from domain.equipment import unknown_chargers
from domain.equipment.chargers import remove_charger
from domain.equipment.stations import hash_offered_key, is_identity
from domain.equipment.unknown_chargers import Knock
from domain.models import Station, UnknownCharger
from tests.factories import NOW, a_charger, a_site, a_town
from tests.fakes import RecordingBus

pytestmark = pytest.mark.usefixtures("database")


def a_knock(identity: str = "GARAGE-07", **given: Any) -> Knock:
    values: dict[str, Any] = {"at": NOW, "attempts": 1, "address": "192.0.2.7", **given}
    return Knock(identity=identity, **values)


async def test_knocks_of_one_identity_are_one_row() -> None:
    """First and last seen, all attempts, the newest address; what was told once stays until something else is told."""
    later = NOW + timedelta(minutes=5)
    await unknown_chargers.note([a_knock(vendor="Acme", model="One", protocol="ocpp1.6")])
    await unknown_chargers.note([a_knock(at=later, attempts=3, address="2001:db8::1", model="Two")])
    row = await UnknownCharger.get()
    assert (row.identity, row.first_seen_at, row.last_seen_at, row.attempts) == ("GARAGE-07", NOW, later, 4)
    assert (row.address, row.vendor, row.model, row.protocol) == ("2001:db8::1", "Acme", "Two", "ocpp1.6")


async def test_the_first_password_stays_and_another_is_told() -> None:
    """A second password of the same identity is not taken over; from then on neither is believed."""
    await unknown_chargers.note([a_knock()])
    await unknown_chargers.note([a_knock(password_hash="a" * 64)])
    await unknown_chargers.note([a_knock(password_hash="a" * 64), a_knock("OTHER")])
    row = await UnknownCharger.get(identity="GARAGE-07")
    assert (row.password_hash, row.is_contested) == ("a" * 64, False)
    await unknown_chargers.note([a_knock(password_hash="b" * 64)])
    await unknown_chargers.note([a_knock(password_hash="a" * 64)])
    row = await UnknownCharger.get(identity="GARAGE-07")
    assert (row.password_hash, row.is_contested) == ("a" * 64, True)


async def test_the_table_stays_small() -> None:
    """Beyond a thousand identities those go that were silent longest."""
    knocks = [a_knock(f"N{number}", at=NOW + timedelta(seconds=number)) for number in range(1_003)]
    assert await unknown_chargers.note(knocks) == 3
    await unknown_chargers.note([a_knock("N3", at=NOW + timedelta(hours=1))])
    assert await unknown_chargers.note([replace(knocks[0], at=NOW + timedelta(hours=1))]) == 1
    assert await UnknownCharger.all().count() == 1_000
    kept = {row.identity for row in await UnknownCharger.all()}
    assert {"N1", "N2", "N4"} & kept == set()
    assert {"N0", "N3", "N5", "N1002"} <= kept


async def test_what_cannot_be_shown_is_left_out() -> None:
    """Control characters and signs that turn a line around are not kept, nor more than a column holds."""
    await unknown_chargers.note([a_knock(vendor="Ac\x00me\u202e\n", model="m" * 101, serial_number="\x07")])
    row = await UnknownCharger.get()
    assert (row.vendor, row.model, row.serial_number) == ("Acme", "m" * 100, None)


async def test_a_charger_of_somebody_is_not_unknown() -> None:
    """What was still to be written when it was added is not written; a station without chargers is nobody's."""
    town = await a_town()
    charger_id = await a_charger(town.site, "Space 3", identity="GARAGE-07")
    await unknown_chargers.note([a_knock(), a_knock("OTHER")])
    assert await unknown_chargers.known_among(["GARAGE-07", "garage-07", "OTHER"]) == {"GARAGE-07"}
    assert [row.identity for row in await UnknownCharger.all()] == ["OTHER"]
    await remove_charger(await town.access("SERVICE"), charger_id, bus=RecordingBus())
    await unknown_chargers.note([a_knock()])
    assert await unknown_chargers.known_among(["GARAGE-07"]) == set()
    assert await UnknownCharger.filter(identity="GARAGE-07").count() == 1
    assert await Station.filter(identity="GARAGE-07").count() == 1


async def test_who_was_not_heard_for_long_is_forgotten() -> None:
    """By the time of the last knock."""
    await a_site()
    await unknown_chargers.note([a_knock("OLD", at=NOW - timedelta(days=31)), a_knock("NEW")])
    assert await unknown_chargers.forget(before=NOW - timedelta(days=30)) == 1
    assert [row.identity for row in await UnknownCharger.all()] == ["NEW"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("GARAGE-07", True),
        ("a*b-c_d=e:f+g|h@i.j", True),
        ("x" * 48, True),
        ("x" * 49, False),
        ("", False),
        ("GARAGE 07", False),
        ("GARAGE/07", False),
        ("GARÅGE", False),
        ("٣", False),
        ("GARAGE-07\n", False),
        ("a\x00b", False),
    ],
)
def test_what_is_an_identity(text: str, expected: bool) -> None:
    """Letters and digits of ASCII and OCPP's signs, 1 to 48 of them."""
    assert is_identity(text) is expected


@pytest.mark.parametrize(
    ("key", "is_kept"),
    [(b"x" * 15, False), (b"x" * 16, True), (b"\xff" * 16, True), (b"x" * 40, True), (b"x" * 41, False)],
)
def test_which_keys_can_be_kept(key: bytes, is_kept: bool) -> None:
    """Those of 16 to 40 bytes, text or not."""
    assert (hash_offered_key(key, "the portal's secret") is not None) is is_kept
