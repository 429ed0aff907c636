"""The chargers of a bench: stations with passwords in a house's database, and what their meters say."""

import random
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from app.house import House
from domain import sql
from domain.access import access_of
from domain.equipment.installations import Address, create_installation
from domain.equipment.stations import hash_charger_key, new_charger_key
from domain.identity.accounts import create_administrator
from domain.ids import new_id
from domain.models import Charger, ChargerStatus, Offer, Station
from domain.roles import InstallationCategory, NetworkType

_PASSWORD: Final = "twelve kilowatts a space"  # noqa: S105  of an account that lives for one run
_ADDRESS: Final = Address("Fjordveien 1", "0250", "Oslo", "NO")
_VARIANTS: Final = 16
_PER_SITE: Final = 50
"""A hall of chargers under one breaker; several of them make the fleet."""


@dataclass(frozen=True, slots=True)
class Login:
    """How one charger signs in."""

    identity: str
    password: str


async def make_fleet(house: House, count: int) -> list[Login]:
    """That many chargers are in the house's database, fifty an installation."""
    now, secret = house.clock.now(), house.settings.secret_key
    user_id = await create_administrator(
        "Anne Admin", "admin@example.com", _PASSWORD, passwords=house.passwords, now=now
    )
    access = await access_of(user_id, now=now)
    logins: list[Login] = []
    while len(logins) < count:
        installation_id = await create_installation(
            access, name=f"Garage {len(logins)}", address=_ADDRESS, time_zone="Europe/Oslo", currency="NOK",
            category=InstallationCategory.COMMUNITY, network_type=NetworkType.TN_3_PHASE, main_breaker_a=630.0,
            bus=house.bus,
        )  # fmt: skip
        root = await sql.row("SELECT id FROM circuits WHERE installation_id = $1", installation_id)
        assert root is not None
        some = [
            Login(f"bench-{len(logins) + number}", new_charger_key())
            for number in range(min(_PER_SITE, count - len(logins)))
        ]
        stations = [
            Station(
                id=new_id(), identity=one.identity, password_hash=hash_charger_key(one.password, secret), created_at=now
            )
            for one in some
        ]
        chargers = [
            Charger(
                id=new_id(), installation_id=installation_id, circuit_id=sql.uuid_of(root["id"]), station_id=station.id,
                name=station.identity, created_at=now,
            )
            for station in stations
        ]  # fmt: skip
        ids = [(one.id, installation_id) for one in chargers]
        await Station.bulk_create(stations)
        await Charger.bulk_create(chargers)
        await ChargerStatus.bulk_create([ChargerStatus(charger_id=one, installation_id=site) for one, site in ids])
        await Offer.bulk_create([Offer(charger_id=one, installation_id=site) for one, site in ids])
        logins += some
    return logins


class Meter:
    """What one charger's meter says, as MeterValues of about 0.9 kB: a register, power, three currents, three voltages."""

    __slots__ = ("_began_at", "_bodies", "_number", "_prefix", "_register_wh", "transaction_id")

    def __init__(self, name: str, *, seed: int) -> None:
        chance = random.Random(f"{name} {seed}")
        self._prefix = f"{name:0>12.12}-{chance.getrandbits(48):012x}-"
        self._bodies = [_values(chance) for _ in range(_VARIANTS)]
        self._register_wh = chance.randrange(1_000_000, 90_000_000)
        self._began_at: datetime | None = None
        self._number = 0
        self.transaction_id = 1

    @property
    def register_wh(self) -> int:
        """Where the register began."""
        return self._register_wh

    def message(self, now: datetime) -> bytes:
        """The next CALL: measured now, at 11 kW since the first one."""
        self._began_at = self._began_at or now
        self._number += 1
        energy_wh = self._register_wh + int((now - self._began_at).total_seconds() * 11_000 / 3600)
        return b'[2,"%b%08d","MeterValues",{"connectorId":1,"transactionId":%d,"meterValue":[{"timestamp":"%bZ",%b' % (
            self._prefix.encode(),
            self._number,
            self.transaction_id,
            now.isoformat(timespec="milliseconds")[:23].encode(),
            self._bodies[self._number % _VARIANTS] % energy_wh,
        )


def _values(chance: random.Random) -> bytes:
    currents = [chance.uniform(14, 16) for _ in range(3)]
    voltages = [chance.uniform(226, 236) for _ in range(3)]
    power_w = sum(current * voltage for current, voltage in zip(currents, voltages, strict=True))
    values = [
        _value("%d", "Energy.Active.Import.Register", "Wh"),
        *(_value(f"{one:.1f}", "Current.Import", "A", f"L{number}") for number, one in enumerate(currents, 1)),
        _value(f"{power_w:.0f}", "Power.Active.Import", "W"),
        *(_value(f"{one:.1f}", "Voltage", "V", f"L{number}-N") for number, one in enumerate(voltages, 1)),
    ]
    return f'"sampledValue":[{",".join(values)}]}}]}}]'.encode()


def _value(value: str, measurand: str, unit: str, phase: str | None = None) -> str:
    phase_part = "" if phase is None else f'"phase":"{phase}",'
    return f'{{"value":"{value}","context":"Sample.Periodic","measurand":"{measurand}",{phase_part}"unit":"{unit}"}}'
