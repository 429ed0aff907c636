"""The demo's garage as rows: its tree, its people with cards and rights, and a year of history, made from one seed."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from uuid import UUID
from zoneinfo import ZoneInfo

from app.auth import Argon2Passwords
from app.demo.portal import Person
from domain import sql
from domain.access import Access, access_of
from domain.equipment.chargers import Electrical, add_charger
from domain.equipment.circuits import create_circuit
from domain.equipment.installations import Address, create_installation
from domain.errors import DomainError
from domain.events import Event
from domain.history.history_import import HistoryImport
from domain.history.history_links import link
from domain.history.history_mapping import Rejection, mapping_of
from domain.identification.cards import register_charge_card
from domain.identity.accounts import create_account, create_administrator
from domain.identity.people import PersonKey
from domain.membership.permissions import Grant, SubjectKey, grant_permission
from domain.roles import InstallationCategory, NetworkType, PhaseRotation, Role
from domain.units import PhaseAmps

BREAKER_A = 63.0
CIRCUIT_A = 32.0
CIRCUITS = 4
CHARGERS = 24
ZONE = "Europe/Oslo"
SOURCE = "demo"
SITE_KEY = "garage"

OWNER = Person("owner", "owner@example.org", "three fjords by night")
RESIDENT = Person("resident", "resident@example.org", "seven boats at dawn")
INSTALLER = Person("installer", "installer@example.org", "nine copper wires")
ADMINISTRATOR = Person("administrator", "admin@example.org", "one house on a hill")
RESIDENT_NAME = "Rita Resident"
SIGN_INS = (OWNER, RESIDENT, INSTALLER, ADMINISTRATOR)

ROTATIONS = (PhaseRotation.RST, PhaseRotation.STR, PhaseRotation.TRS)
"""Alternating, as an electrician spreads one-phase cars over the lines."""


@dataclass(frozen=True, slots=True)
class Space:
    """A parking space with its charger and its resident's card."""

    charger_id: UUID
    circuit: int
    name: str
    identity: str
    password: str
    rotation: PhaseRotation
    card: str


@dataclass(frozen=True, slots=True)
class Garage:
    """What was made."""

    installation_id: UUID
    spaces: tuple[Space, ...]


class SilentBus:
    """An EventBus for the time before anybody listens."""

    async def publish(self, *events: Event) -> None:
        """Nobody hears it."""

    async def send(self, channel: str, message: bytes) -> int:  # noqa: ARG002  the port's signature
        """Nobody hears it."""
        return 0

    def subscribe(
        self,
        channel: str,  # noqa: ARG002  the port's signature
        *,
        limit: int = 1024,  # noqa: ARG002  the port's signature
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """There is nothing to hear."""
        raise DomainError("Nobody speaks on this bus.")


async def make_garage(*, secret_key: str, now: datetime, seed: int) -> Garage:
    """The garage is in the open database, which was empty."""
    random, bus = Random(seed), SilentBus()
    passwords = Argon2Passwords()
    try:
        people = await _accounts(passwords, now)
    finally:
        passwords.close()
    access = await access_of(people[ADMINISTRATOR], now=now)
    installation_id = await create_installation(
        access,
        name="Fjordveien 12",
        address=Address("Fjordveien 12", "7010", "Trondheim", "NO"),
        time_zone=ZONE,
        currency="NOK",
        category=InstallationCategory.COMMUNITY,
        network_type=NetworkType.TN_3_PHASE,
        main_breaker_a=BREAKER_A,
        bus=bus,
    )
    spaces = await _spaces(access, installation_id, secret_key=secret_key, bus=bus)
    await _history(installation_id, spaces, people[RESIDENT], now=now, random=random)
    await _rights(access, installation_id, spaces, people, bus=bus)
    return Garage(installation_id, tuple(spaces))


async def _accounts(passwords: Argon2Passwords, now: datetime) -> dict[Person, UUID]:
    found = {
        ADMINISTRATOR: await create_administrator(
            "Ada Administrator", ADMINISTRATOR.email, ADMINISTRATOR.password, passwords=passwords, now=now
        )
    }
    for person, name in ((OWNER, "Ole Owner"), (RESIDENT, RESIDENT_NAME), (INSTALLER, "Ivar Installer")):
        found[person] = await create_account(name, person.email, person.password, passwords=passwords, now=now)
    return found


async def _spaces(access: Access, installation_id: UUID, *, secret_key: str, bus: SilentBus) -> list[Space]:
    spaces = []
    for circuit in range(CIRCUITS):
        circuit_id = await create_circuit(
            access,
            installation_id,
            name=f"Row {'ABCD'[circuit]}",
            breaker=PhaseAmps.even(CIRCUIT_A),
            safe_current=PhaseAmps.even(CIRCUIT_A / 2),
            bus=bus,
        )
        for place in range(CHARGERS // CIRCUITS):
            number = circuit * (CHARGERS // CIRCUITS) + place + 1
            name, identity = f"{'ABCD'[circuit]}{place + 1}", f"DEMO-{number:02d}"
            rotation = ROTATIONS[place % len(ROTATIONS)]
            made = await add_charger(
                access,
                circuit_id,
                name=name,
                identity=identity,
                electrical=Electrical(phase_rotation=rotation),
                secret=secret_key,
                bus=bus,
            )
            if made.password is None:
                raise DomainError(f"The charger {identity} was made without a password.")
            card = f"04DE{number:04d}"
            spaces.append(Space(made.charger_id, circuit, name, identity, made.password, rotation, card))
    return spaces


async def _history(
    installation_id: UUID, spaces: list[Space], resident_id: UUID, *, now: datetime, random: Random
) -> None:
    """A year of sessions, through the same door as anybody's history; it makes the other residents."""
    await link(
        SOURCE,
        site=(SITE_KEY, installation_id),
        chargers={space.identity: space.charger_id for space in spaces},
        people={spaces[0].identity: resident_id},
    )

    def refuse(rejection: Rejection) -> None:
        raise DomainError(f"The demo's own history is wrong: {rejection}")

    run = HistoryImport(mapping_of(MAPPING), now=now, dry_run=False, on_rejected=refuse)
    await run.run(_year(spaces, now=now, random=random))


def _year(spaces: list[Space], *, now: datetime, random: Random) -> Iterator[str]:
    """The lines of a CSV: each resident comes home with their own habits and leaves in the morning."""
    yield "number;charger;name;person;start;stop;kwh\n"
    zone, number = ZoneInfo(ZONE), 0
    first = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None) - timedelta(days=365)
    habits = [(random.uniform(0.2, 0.8), random.uniform(4, 28)) for _ in spaces]
    for day in range(364):
        for space, (likeliness, most_kwh) in zip(spaces, habits, strict=True):
            if random.random() < likeliness:
                number += 1
                start = first + timedelta(days=day, hours=random.uniform(15, 22))
                stop = start + timedelta(hours=random.uniform(1, 14))
                kwh = random.uniform(0.3, most_kwh)
                who = RESIDENT_NAME if space is spaces[0] else f"Resident {space.name}"
                yield f"{number};{space.identity};{space.name};{who};{start:%Y-%m-%d %H:%M};{stop:%Y-%m-%d %H:%M};{kwh:.3f}\n"


MAPPING = {
    "source": SOURCE,
    "file": {
        "encoding": "utf-8",
        "delimiter": ";",
        "decimal_sign": ".",
        "date_format": "%Y-%m-%d %H:%M",
        "time_zone": ZONE,
    },
    "session": {
        "key": "{number}",
        "started_at": "start",
        "ended_at": "stop",
        "energy": "kwh",
        "energy_unit": "kWh",
    },
    "installation": {
        "key": SITE_KEY,
        "name": "Fjordveien 12",
        "country_code": "NO",
        "currency": "NOK",
        "category": "COMMUNITY",
        "network_type": "TN_3_PHASE",
        "breaker_a": BREAKER_A,
    },
    "person": {"key": "{charger}", "name": "{person}"},
    "charger": {"key": "{charger}", "name": "{name}"},
}


async def _rights(
    access: Access, installation_id: UUID, spaces: list[Space], people: dict[Person, UUID], *, bus: SilentBus
) -> None:
    """Every resident may charge and has a card; the owner owns, the installer services."""
    for person, role in ((OWNER, Role.OWNER), (INSTALLER, Role.SERVICE)):
        grant = Grant(subject=SubjectKey(user_id=people[person]), object_id=installation_id, role=role)
        await grant_permission(access, grant, bus=bus)
    residents = await sql.rows("SELECT id, import_key FROM users WHERE import_key IS NOT NULL")
    by_key = {row["import_key"]: sql.uuid_of(row["id"]) for row in residents}
    for space in spaces:
        user_id = by_key[f"{SOURCE}:{space.identity}"]
        grant = Grant(subject=SubjectKey(user_id=user_id), object_id=installation_id, role=Role.USER)
        await grant_permission(access, grant, bus=bus)
        await register_charge_card(
            access, number=space.card, name="Blue tag", person=PersonKey(user_id=user_id), bus=bus
        )
