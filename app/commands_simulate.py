"""`lade simulate`: simulated chargers and cars at any central system that speaks OCPP 1.6-J or 2.0.1."""

import csv
import itertools
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, TextIO
from urllib.parse import urlsplit

import click
import orjson
from rich.console import Console

from app.event_loop import run
from app.simulation import Figures, Watch, run_fleet
from devices.simulator import Fleet
from devices.simulator.plan import ChargerPlan, Habits, Plan, Quirks, identities

DEFAULT_CHARGERS = 24
PROTOCOLS = {"1.6": ("ocpp1.6",), "2.0.1": ("ocpp2.0.1",), "mixed": ("ocpp1.6", "ocpp2.0.1")}
DEFAULT_PROTOCOL = "1.6"
DEFAULT_STAY_S = (15.0, 45.0)
DEFAULT_AWAY_S = (2.0, 15.0)
DEFAULT_PHASES = ((1, 30.0), (2, 10.0), (3, 60.0))
DEFAULT_CARD = "04A1B2C3D4"
PAIR = 2


def _yes(text: str) -> bool:
    return {"yes": True, "no": False}[text]


QUIRKS: dict[str, tuple[str, Callable[[str], float | bool], str]] = {
    "duplicates": ("duplicate_rate", float, "SHARE of answered records that are sent once more, with a new id"),
    "lost-answers": ("answer_loss_rate", float, "SHARE of answers that get lost, so that the record comes again"),
    "slow-answers": ("answer_delay_s", float, "SECONDS it thinks before it answers a command"),
    "clock-offset": ("clock_offset_s", float, "SECONDS its clock is ahead; behind when negative"),
    "zoneless": ("is_zoneless", _yes, "yes: times without a zone"),
    "boots-again": ("boots_on_reconnect", _yes, "yes: a BootNotification after every new connection"),
    "heartbeats": ("sends_heartbeats", _yes, "no: none are sent"),
    "outages": ("disconnects_every_s", float, "SECONDS between losses of the connection, in the mean"),
    "outage-length": ("disconnected_for_s", float, "SECONDS that each of them lasts"),
    "cable-first": (
        "begins_with_cable",
        _yes,
        "yes: in 2.0.1 a transaction begins with the cable, its card comes later",
    ),
    "no-ids": ("forgets_transaction_ids", _yes, "yes: in 1.6 readings and ends come with transaction id 0"),
    "old-statuses": ("replays_statuses", _yes, "yes: after an outage it tells how its connector was meanwhile"),
    "offline-flag": ("marks_offline", _yes, "no: in 2.0.1 what was made without a connection is not marked"),
    "no-clock": ("forgets_clock", _yes, "yes: it is 1970 until the first boot is answered"),
    "local-time": ("local_time_ahead_s", float, "SECONDS its local time, marked as UTC, is ahead of it"),
    "kwh": ("meters_in_kwh", _yes, "yes: its register is in kWh"),
    "from-zero": ("counts_from_start", _yes, "yes: its register begins at 0 with every transaction"),
    "no-pongs": ("ignores_pings", _yes, "yes: pings are not answered"),
    "late-readings": ("late_reading_rate", float, "SHARE of readings that come after the end of their transaction"),
    "memory": ("memory", int, "NUMBER of messages that it keeps without a connection"),
    "power-losses": ("loses_power_every_s", float, "SECONDS between losses of power while a car charges, in the mean"),
    "disorder": ("reorders_within", int, "NUMBER of waiting messages that go out in any order"),
    "refuses-availability": ("refuses_availability", _yes, "yes: it cannot be taken out of service from afar"),
    "forgets-availability": ("forgets_availability", _yes, "yes: after a start it is in service, whatever it was told"),
    "tells-only-in-reports": (
        "tells_only_in_reports",
        _yes,
        "yes: asked for single variables of smart charging it knows none",
    ),
    "no-current": ("lets_no_current", _yes, "yes: it says that a car charges and lets no current flow"),
    "refuses-profiles": ("refuses_profiles", _yes, "yes: every charging profile is rejected"),
}
"""What firmware does wrong, by the name at the command line: the field of Quirks, how it is read, what it means."""


class _Quirk(click.ParamType[tuple[str, float | bool]]):
    """One quirk: NAME=VALUE."""

    name = "quirk"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, float | bool]:
        """The field and its value; refused with the names that exist."""
        name, _, text = str(value).partition("=")
        if name not in QUIRKS:
            self.fail(f"{name!r} is no quirk; choose from {', '.join(QUIRKS)}", param, ctx)
        field, read, meaning = QUIRKS[name]
        try:
            return field, read(text)
        except (KeyError, ValueError):
            self.fail(f"{name}=VALUE needs: {meaning}", param, ctx)


class _Range(click.ParamType[tuple[float, float]]):
    """Least and most: MIN-MAX."""

    name = "range"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, float]:
        """The two numbers; one alone is both."""
        if isinstance(value, tuple):
            return value
        first, dash, last = str(value).partition("-")
        try:
            least, most = float(first), float(last if dash else first)
        except ValueError:
            self.fail(f"{value!r} is not two numbers with - between them, like 15-45", param, ctx)
        if not 0 <= least <= most < float("inf"):
            self.fail(f"{value!r} does not go up", param, ctx)
        return least, most


class _Phases(click.ParamType[tuple[tuple[int, float], ...]]):
    """How often one-, two- and three-phase cars come: 1=30,2=10,3=60."""

    name = "phases"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[tuple[int, float], ...]:
        """Phases with their weights."""
        if isinstance(value, tuple):
            return value
        try:
            pairs = [part.partition("=") for part in str(value).split(",")]
            weights = tuple((int(phases), float(weight) if sign else 1.0) for phases, sign, weight in pairs)
        except ValueError:
            self.fail(f"{value!r} is not like 1=30,2=10,3=60", param, ctx)
        if any(phases not in (1, 2, 3) or not 0 < weight < float("inf") for phases, weight in weights):
            self.fail(f"{value!r}: cars have 1, 2 or 3 phases, and a weight above 0", param, ctx)
        return weights


def _quirk_lines() -> str:
    width = max(map(len, QUIRKS)) + 2
    return "\n".join(f"  {name:<{width}}{meaning}" for name, (_, _, meaning) in QUIRKS.items())


HELP = f"""Connect simulated chargers, with cars that come and go, to the central system at URL.

URL is what comes before the identity: ws://127.0.0.1:8080/ocpp for `lade serve`, ws:// or wss:// of any other that
speaks OCPP 1.6-J or 2.0.1 (--protocol). Chargers are named SIM0001 and on, or as --identities says; their names,
passwords and cards must be known there. The same seed makes the same cars come again.

Every car keeps its own account. At the end the last cars leave, their records are delivered, and the account is told: --json
prints it as one line. Exit status 1 when no charger could connect, or an ended session was not taken.

What real firmware does wrong can be switched on with --quirk NAME=VALUE, as often as you like:

\b
{_quirk_lines()}
"""


@click.command("simulate", help=HELP)
@click.argument("url")
@click.option("--chargers", type=click.IntRange(1, 10_000), help=f"How many.  [{DEFAULT_CHARGERS}]")
@click.option(
    "--identities",
    "known",
    type=click.File("r", encoding="utf-8"),
    help="Exactly these chargers: a file with IDENTITY or IDENTITY,PASSWORD a line; - is standard input.",
)
@click.option(
    "--protocol",
    type=click.Choice(list(PROTOCOLS)),
    default=DEFAULT_PROTOCOL,
    show_default=True,
    help="The version of OCPP; mixed: every second charger speaks 2.0.1.",
)
@click.option("--for", "for_s", type=click.FloatRange(min=0, min_open=True), help="Seconds to run.  [until Ctrl-C]")
@click.option("--seed", type=int, default=1, show_default=True, help="What cars and chances are made from.")
@click.option("--card", "cards", multiple=True, default=(DEFAULT_CARD,), show_default=True, help="A card (several).")
@click.option(
    "--phases", type=_Phases(), default=DEFAULT_PHASES, help="Cars by phases and how often.  [1=30,2=10,3=60]"
)
@click.option("--stay", type=_Range(), default=DEFAULT_STAY_S, help="Seconds that a car stays, MIN-MAX.  [15-45]")
@click.option("--away", type=_Range(), default=DEFAULT_AWAY_S, help="Seconds until the next one, MIN-MAX.  [2-15]")
@click.option("--quirk", "quirks", type=_Quirk(), multiple=True, help="NAME=VALUE, see above (several).")
@click.option("--json", "as_json", is_flag=True, help="End with one line of JSON on standard output.")
def simulate_command(  # noqa: D103  the text is HELP
    url: str,
    *,
    chargers: int | None,
    known: TextIO | None,
    protocol: str,
    for_s: float | None,
    seed: int,
    cards: tuple[str, ...],
    phases: tuple[tuple[int, float], ...],
    stay: tuple[float, float],
    away: tuple[float, float],
    quirks: tuple[tuple[str, float | bool], ...],
    as_json: bool,
) -> None:
    if chargers is not None and known is not None:
        raise click.UsageError("--identities says which chargers there are; leave out --chargers.")
    if urlsplit(url).scheme not in ("ws", "wss"):
        raise click.UsageError(f"{url} must begin with ws:// or wss://.")
    passwords = dict.fromkeys(identities(chargers or DEFAULT_CHARGERS)) if known is None else read_identities(known)
    habits = Habits(stay_s=stay, away_s=away, phases=phases, id_tags=cards)
    plan = Plan(chargers=charger_plans(passwords, dict(quirks), PROTOCOLS[protocol]), habits=habits)
    _finish(_simulate(url, plan, for_s=for_s, seed=seed), as_json=as_json)


def charger_plans(
    passwords: dict[str, str | None], quirks: dict[str, Any], protocols: Sequence[str]
) -> tuple[ChargerPlan, ...]:
    """One plan a charger, all with the same quirks, the protocols in turns."""
    shared = Quirks(**quirks)
    return tuple(
        ChargerPlan(identity=identity, password=password, protocol=protocol, quirks=shared)
        for (identity, password), protocol in zip(passwords.items(), itertools.cycle(protocols), strict=False)
    )


def read_identities(file: TextIO) -> dict[str, str | None]:
    """Passwords by identity, in the order of the file; empty lines and lines that begin with # are skipped.

    UsageError names the line that is wrong.
    """
    passwords: dict[str, str | None] = {}
    for number, row in enumerate(csv.reader(file), start=1):
        if not row or row[0].startswith("#"):
            continue
        identity, password = _identity(row, f"{file.name}, line {number}")
        if identity in passwords:
            raise click.UsageError(f"{file.name}, line {number}: {identity} came before")
        passwords[identity] = password
    if not passwords:
        raise click.UsageError(f"{file.name} names no charger: write IDENTITY or IDENTITY,PASSWORD in each line.")
    return passwords


def _identity(row: Sequence[str], at: str) -> tuple[str, str | None]:
    cells = [cell.strip() for cell in row]
    if len(cells) > PAIR or not cells[0]:
        raise click.UsageError(f"{at}: write IDENTITY or IDENTITY,PASSWORD")
    return cells[0], (cells[1] or None) if len(cells) == PAIR else None


def _simulate(url: str, plan: Plan, *, for_s: float | None, seed: int) -> Figures:
    watch = Watch()
    fleet = Fleet(url, plan, seed=seed, listener=watch.note)
    return run(run_fleet(fleet, watch, for_s=for_s, console=Console(stderr=True)))


def _finish(figures: Figures, *, as_json: bool) -> None:
    """The figures are told, and a complaint ends with status 1."""
    click.echo(
        f"{figures.connected} of {figures.chargers} chargers connected; {figures.sessionsAcknowledged} sessions with "
        f"{figures.ledgerWh} Wh taken; {figures.denied} denied, {figures.refused} connections refused",
        err=True,
    )
    if as_json:
        click.echo(orjson.dumps(asdict(figures)).decode())
    if figures.complaint is not None:
        click.echo(f"Error: {figures.complaint}.", err=True)
        sys.exit(1)
