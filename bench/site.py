"""The site that benches look at: a garage of 24 chargers, people who own it or charge there, and its history."""

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Self
from uuid import UUID

from app.house import House
from domain import sql
from domain.access import Access, access_of
from domain.equipment.chargers import add_charger
from domain.equipment.installations import Address, create_installation
from domain.identity.accounts import create_account, create_administrator
from domain.identity.sign_ins import Entrance, begin
from domain.ids import new_id
from domain.membership.permissions import Grant, SubjectKey, grant_permission
from domain.roles import InstallationCategory, NetworkType, Role, SessionState, StopReason

CHARGERS = 24
PEOPLE = 10
"""Owners, and unless more are asked for as many who charge there: each of these owns other chargers, and so sees the live statuses in a way
of their own, whoever they are.
"""
_PASSWORD = "twelve kilowatts a space"  # noqa: S105  of accounts that live for one run
_ADDRESS = Address("Fjordveien 1", "0250", "Oslo", "NO")


@dataclass(frozen=True, slots=True)
class Site:
    """What a load generator and a server need to know of it; tokens are access tokens, good for 15 minutes."""

    installation_id: UUID
    charger_ids: tuple[UUID, ...]
    owner_tokens: tuple[str, ...]
    user_tokens: tuple[str, ...]

    def plain(self) -> dict[str, Any]:
        """As JSON takes it."""
        return asdict(self)

    @classmethod
    def of(cls, plain: dict[str, Any]) -> Self:
        """The reverse of `plain` after a way through JSON."""
        return cls(
            UUID(plain["installation_id"]),
            tuple(UUID(one) for one in plain["charger_ids"]),
            tuple(plain["owner_tokens"]),
            tuple(plain["user_tokens"]),
        )


async def make_site(house: House, *, sessions: int = 0, seed: int, people: int = PEOPLE) -> Site:
    """The site is in the house's database, made as people make it, with that many ended sessions on it and so many drivers."""
    access = await _administrator(house)
    installation_id = await create_installation(
        access, name="Fjordveien garage", address=_ADDRESS, time_zone="Europe/Oslo", currency="NOK",
        category=InstallationCategory.COMMUNITY, network_type=NetworkType.TN_3_PHASE, main_breaker_a=63.0, bus=house.bus,
    )  # fmt: skip
    root = await sql.row("SELECT id FROM circuits WHERE installation_id = $1", installation_id)
    assert root is not None
    chargers = [
        await add_charger(
            access, sql.uuid_of(root["id"]), name=f"Space {number}", identity=f"space-{number}",
            secret=house.settings.secret_key, bus=house.bus,
        )
        for number in range(1, CHARGERS + 1)
    ]  # fmt: skip
    charger_ids = tuple(one.charger_id for one in chargers)
    owners = [await _person(house, access, f"owner-{n}", Role.OWNER, installation_id) for n in range(PEOPLE)]
    users = []
    for number, theirs in zip(range(people), _choices(charger_ids), strict=False):
        users.append(await _person(house, access, f"driver-{number}", Role.USER, installation_id, owns=theirs))
    await _insert_sessions(installation_id, charger_ids, sessions, now=house.clock.now(), seed=seed)
    return Site(installation_id, charger_ids, tuple(owners), tuple(users))


class _Unhashed:
    """Passwords of people who never sign in by one: to hash a thousand takes a minute."""

    async def hash(self, password: str) -> str:
        """As it is."""
        return password

    async def matches(self, password: str, stored: str | None) -> bool:
        """Never."""
        del password, stored
        return False


async def _administrator(house: House) -> Access:
    now = house.clock.now()
    user_id = await create_administrator(
        "Anne Admin", "admin@example.com", _PASSWORD, passwords=house.passwords, now=now
    )
    return await access_of(user_id, now=now)


def _choices(charger_ids: Sequence[UUID]) -> Iterator[tuple[UUID, ...]]:
    """Some chargers, never the same twice; of 24 there are 2,325."""
    for count in range(4):
        yield from itertools.combinations(charger_ids, count)


async def _person(
    house: House, granter: Access, name: str, role: Role, installation_id: UUID, *, owns: Sequence[UUID] = ()
) -> str:
    email = f"{name}@example.com"
    user_id = await create_account(name, email, _PASSWORD, passwords=_Unhashed(), now=granter.now)
    grant = Grant(subject=SubjectKey(user_id=user_id), object_id=installation_id, role=role)
    await grant_permission(granter, grant, bus=house.bus)
    for charger_id in owns:
        own = Grant(subject=SubjectKey(user_id=user_id), object_id=charger_id, role=Role.OWNER)
        await grant_permission(granter, own, bus=house.bus)
    return await token_of(house, user_id)


async def token_of(house: House, user_id: UUID) -> str:
    """An access token of that person, good for a quarter of an hour."""
    entrance = Entrance(
        passwords=house.passwords,
        tokens=house.tokens,
        sealer=house.sealer,
        attempts=house.attempts,
        clock=house.clock,
        bus=house.bus,
        address="127.0.0.1",
    )
    signed_in = await begin(user_id, at=entrance)
    return signed_in.access_token


_INSERT = """
INSERT INTO charge_sessions (
  id, installation_id, charger_id, installation_name, circuit_name, charger_name, user_name, card_name, time_zone, state,
  started_at, ended_at, registered_at, energy_wh, connected_s, charging_s, stop_reason, external_id, created_at,
  flags, is_paused, priority
) VALUES ($1, $2, $3, 'Fjordveien garage', 'Main breaker', $4, $5, $6, 'Europe/Oslo', $7,
  $8, $9, $10, $11, $12, $13, $14, $15, $16, 0, FALSE, 0)
"""


async def _insert_sessions(
    installation_id: UUID, charger_ids: Sequence[UUID], count: int, *, now: datetime, seed: int
) -> None:
    """Ended sessions of strangers, one after the other back from `now`: nobody's use case makes a past."""
    chance = random.Random(seed)
    values: list[tuple[object, ...]] = []
    for number in range(count):
        charger = number % len(charger_ids)
        started_at = (now - timedelta(hours=2 * number + 12, seconds=chance.randrange(3600))).replace(microsecond=0)
        connected_s = chance.randrange(900, 40_000)
        ended_at = started_at + timedelta(seconds=connected_s)
        energy_wh = chance.randrange(500, 60_000)
        values.append(
            (
                new_id(), installation_id, charger_ids[charger], f"Space {charger + 1}", f"Person {number % 90}",
                f"Tag {number % 90}", SessionState.ENDED, started_at, ended_at, ended_at + timedelta(seconds=3), energy_wh,
                connected_s, connected_s // 2, StopReason.VEHICLE_DISCONNECTED, f"S-{number:06}", started_at,
            )
        )  # fmt: skip
    await sql.execute_many(_INSERT, values)
