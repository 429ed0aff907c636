"""Historical sessions become rows."""

import csv
import tomllib
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from domain.history.history_import import HistoryImport, ImportResult
from domain.history.history_mapping import HistoryMapping, Rejection, mapping_of
from domain.models import Charger, ChargerStatus, ChargeSession, Circuit, Installation, User
from domain.roles import SessionFlag, SessionState

pytestmark = pytest.mark.usefixtures("database")

NOW = datetime(2024, 5, 1, tzinfo=UTC)
ROOT = Path(__file__).parents[3]
MAPPING = ROOT / "docs/mappings/norway-garages.toml"
REAL = ROOT.parent / "shared/data/norway-garages/sessions.csv"
HEADER = (
    "session_ID;Garage_ID;User_ID;User_type;Shared_ID;Start_plugin;Start_plugin_hour;End_plugout;End_plugout_hour;"
    "El_kWh;Duration_hours;month_plugin;weekdays_plugin\n"
)


def _line(number: int, *, garage: str = "G1", user: str = "G1-1", shared: str = "NA", end: str, kwh: str) -> str:
    return f"{number};{garage};{user};Private;{shared};31.01.2019 22:00;22;{end};23;{kwh};1;Jan;Thursday\n"


LINES = [
    HEADER,
    _line(1, end="31.01.2019 23:30", kwh="7,25"),
    _line(2, user="Share-1", shared="Shared-1", end="01.02.2019 00:30", kwh="3"),
    _line(3, end="NA", kwh="0,5"),
    "\n",
    _line(4, end="30.01.2019 23:30", kwh="7"),
    _line(5, garage="G2", user="G2-broken", end="NA", kwh="much"),
    _line(1, end="31.01.2019 23:30", kwh="7,25"),
]


def _mapping() -> HistoryMapping:
    return mapping_of(tomllib.loads(MAPPING.read_text()))


async def _run(lines: list[str], *, dry_run: bool = False) -> tuple[ImportResult, list[Rejection]]:
    rejected: list[Rejection] = []
    history = HistoryImport(_mapping(), now=NOW, dry_run=dry_run, on_rejected=rejected.append)
    return await history.run(lines), rejected


def _counts(result: ImportResult) -> tuple[int, int, int, int, int, int]:
    return (result.sessions, result.installations, result.people, result.energy_wh, result.added, result.rejected)


async def test_readable_lines_become_sessions_and_broken_ones_leave_nothing() -> None:
    """Three of six lines are taken; the site and person of a rejected line are not made."""
    result, rejected = await _run(LINES)
    assert _counts(result) == (3, 1, 2, 10_750, 3, 3)
    assert [one.line for one in rejected] == [6, 7, 8]
    assert rejected[2].reason == "the same session as an earlier line (norway-garages:1)"
    assert [site.name for site in await Installation.all()] == ["G1"]
    assert sorted(person.name for person in await User.all()) == ["G1-1", "Share-1"]
    assert sorted(charger.name for charger in await Charger.all()) == ["G1-1", "Shared-1"]
    assert await ChargerStatus.all().count() == 2
    assert (await Circuit.get()).breaker_l1 == 63


async def test_a_session_is_registered_when_it_ended_and_without_an_end_when_it_started() -> None:
    """The end is marked as inferred and the energy kept."""
    await _run(LINES)
    ended = await ChargeSession.get(import_key="norway-garages:1")
    assert ended.state is SessionState.ENDED
    assert ended.registered_at == ended.ended_at == datetime(2019, 1, 31, 22, 30, tzinfo=UTC)
    assert (ended.energy_wh, ended.connected_s, ended.flag_set) == (7_250, 5_400, SessionFlag(0))
    assert (ended.installation_name, ended.charger_name, ended.user_name) == ("G1", "G1-1", "G1-1")
    open_ended = await ChargeSession.get(import_key="norway-garages:3")
    assert open_ended.ended_at == open_ended.registered_at == open_ended.started_at
    assert (open_ended.energy_wh, open_ended.connected_s, open_ended.flag_set) == (500, 0, SessionFlag.END_INFERRED)


async def test_a_second_run_adds_nothing_and_says_the_same() -> None:
    """The natural key of a line is its source and number."""
    first, _ = await _run(LINES)
    second, _ = await _run(LINES)
    assert _counts(second) == (*_counts(first)[:4], 0, 3)
    assert await ChargeSession.all().count() == 3


async def test_a_dry_run_counts_what_it_would_add_and_stores_nothing() -> None:
    """Afterwards the portal is as empty as before."""
    result, _ = await _run(LINES, dry_run=True)
    assert _counts(result) == (3, 1, 2, 10_750, 3, 3)
    assert await Installation.all().count() == await User.all().count() == await ChargeSession.all().count() == 0


async def test_a_session_with_other_facts_than_before_is_rejected_and_stays_as_it_was() -> None:
    """A number that means another session elsewhere must not overwrite the first."""
    await _run(LINES)
    _, rejected = await _run([HEADER, _line(1, end="31.01.2019 23:30", kwh="9")])
    assert rejected == [
        Rejection(
            2,
            "the session norway-garages:1 was imported before with other facts: "
            "from 2019-01-31 21:00 to 2019-01-31 22:30 UTC, 7250 Wh; it stays as it was",
        )
    ]
    assert (await ChargeSession.get(import_key="norway-garages:1")).energy_wh == 7_250


@pytest.mark.skipif(not REAL.exists(), reason="the data lie beside the project")
async def test_the_norwegian_garages_come_in_whole() -> None:
    """Every month's totals by person and by charger equal an independent sum over the file."""
    with REAL.open(encoding="utf-8") as file:
        result, rejected = await _run(list(file))
    assert rejected == []
    assert _counts(result) == (6_878, 24, 97, 87_493_280, 6_878, 0)
    assert (result.chargers, result.open_ended, result.open_ended_wh) == (69, 34, 385_710)
    by_person, by_charger = _expected()
    assert await _stored("user_name") == by_person
    assert await _stored("charger_name") == by_charger
    assert sum(by_person.values()) == sum(by_charger.values()) == 87_493_280


def _expected() -> tuple[Counter[tuple[str, str, str]], Counter[tuple[str, str, str]]]:
    """Wh by (month, garage, person) and by (month, garage, charger), from nothing but the file."""
    people: Counter[tuple[str, str, str]] = Counter()
    chargers: Counter[tuple[str, str, str]] = Counter()
    with REAL.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter=";"):
            at = row["Start_plugin"] if row["End_plugout"] == "NA" else row["End_plugout"]
            month, energy = f"{at[6:10]}-{at[3:5]}", int(Decimal(row["El_kWh"].replace(",", ".")) * 1000)
            charger = row["User_ID"] if row["Shared_ID"] == "NA" else row["Shared_ID"]
            people[month, row["Garage_ID"], row["User_ID"]] += energy
            chargers[month, row["Garage_ID"], charger] += energy
    return people, chargers


async def _stored(column: str) -> Counter[tuple[str, str, str]]:
    totals: Counter[tuple[str, str, str]] = Counter()
    columns = ("registered_at", "time_zone", "installation_name", column, "energy_wh")
    for at, zone, garage, name, energy in await ChargeSession.all().values_list(*columns):
        totals[f"{at.astimezone(ZoneInfo(zone)):%Y-%m}", garage, name] += energy
    return totals
