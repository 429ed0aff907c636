"""A charger at the machine doors: says what a real one would say, and shows what is stored."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from domain import sql
from domain.charging.reports import Outcome, Report
from domain.charging.session_rules import Hearing
from domain.events import Event
from domain.metering import BatchResult, apply_batch
from domain.models import Charger, ChargerStatus, ChargeSession, EnergyInterval
from domain.observations import (
    AnyObservation,
    Booted,
    ConnectorStatus,
    Metered,
    Sample,
    SessionEnded,
    SessionStarted,
    StatusReported,
    TokenPresented,
)
from domain.roles import Role, StopReason
from tests.factories import NOW, Site, a_card, a_charger, a_grant, a_person, a_site, arrived

CARD = "04A1B2C3"


def at(minutes: float = 0.0) -> datetime:
    """So many minutes after the rig's noon."""
    return NOW + timedelta(minutes=minutes)


def reading(
    register_wh: int | None,
    when: datetime | None,
    *,
    context: str = "Sample.Periodic",
    power_w: float | None = None,
    currents: tuple[float | None, float | None, float | None] = (None, None, None),
) -> Sample:
    """One sample."""
    return Sample(at=when, context=context, register_wh=register_wh, power_w=power_w, currents=currents)


@dataclass
class Rig:
    """One connected charger with a resident's card."""

    site: Site
    charger_id: UUID
    station_id: UUID
    user_id: UUID
    epoch: int
    hearing: Hearing
    events: list[Event] = field(default_factory=list)

    def report(self, observation: AnyObservation) -> Report:
        """The observation over this connection."""
        return Report(self.station_id, self.epoch, self.hearing, observation)

    async def say(self, *observations: AnyObservation, now: datetime | None = None) -> BatchResult:
        """One batch, applied when its last observation was received."""
        result = await apply_batch(
            [self.report(one) for one in observations], now=now or max(one.received_at for one in observations)
        )
        self.events += result.events
        return result

    async def start(
        self,
        when: datetime = NOW,
        *,
        meter: int | None = 1000,
        card: str | None = CARD,
        received: datetime | None = None,
        charger_time: datetime | None = None,
        evse: int = 1,
    ) -> Outcome:
        """StartTransaction."""
        observation = SessionStarted(
            charger_time=charger_time or when,
            received_at=received or when,
            evse=evse,
            id_token=card,
            meter_start_wh=meter,
        )
        return (await self.say(observation)).outcomes[0]

    async def meter(self, transaction_id: str | None, *samples: Sample, received: datetime | None = None) -> Outcome:
        """MeterValues."""
        last = max((one.at for one in samples if one.at is not None), default=NOW)
        observation = Metered(
            charger_time=last,
            received_at=received or last,
            evse=1,
            transaction_id=transaction_id,
            samples=samples,
        )
        return (await self.say(observation)).outcomes[0]

    async def stop(
        self,
        transaction_id: str | None,
        when: datetime,
        *,
        meter: int | None,
        received: datetime | None = None,
        reason: StopReason = StopReason.VEHICLE_DISCONNECTED,
        card: str | None = None,
        samples: tuple[Sample, ...] = (),
    ) -> Outcome:
        """StopTransaction."""
        observation = SessionEnded(
            charger_time=when,
            received_at=received or when,
            evse=None,
            transaction_id=transaction_id,
            meter_stop_wh=meter,
            reason=reason,
            id_token=card,
            samples=samples,
        )
        return (await self.say(observation)).outcomes[0]

    async def status(
        self,
        status: ConnectorStatus,
        when: datetime,
        *,
        received: datetime | None = None,
        error: str | None = "NoError",
        vendor: str | None = None,
    ) -> None:
        """StatusNotification."""
        await self.say(
            StatusReported(
                charger_time=when,
                received_at=received or when,
                evse=1,
                status=status,
                error_code=error,
                vendor_error_code=vendor,
            )
        )

    async def present(self, card: str, when: datetime = NOW) -> Outcome:
        """Authorize."""
        return (await self.say(TokenPresented(charger_time=None, received_at=when, evse=None, id_token=card))).outcomes[
            0
        ]

    async def second_socket(self) -> UUID:
        """Another charger of the same station, at evse 2."""
        charger_id = await a_charger(self.site, "Space 2")
        await Charger.filter(id=charger_id).update(station_id=self.station_id, evse=2)
        await ChargerStatus.filter(charger_id=charger_id).update(is_online=True)
        return charger_id

    async def boot(self, when: datetime) -> None:
        """BootNotification."""
        await self.say(
            Booted(
                charger_time=None,
                received_at=when,
                vendor="Acme",
                model="Two",
                serial_number="SN-9",
                firmware_version="1.2",
            )
        )

    async def sessions(self) -> list[ChargeSession]:
        """All of this station, oldest first."""
        return await ChargeSession.filter(station_id=self.station_id).order_by("started_at", "created_at")

    async def session(self) -> ChargeSession:
        """The only one."""
        found = await self.sessions()
        assert len(found) == 1
        return found[0]

    async def live(self) -> ChargerStatus:
        """The live status as stored."""
        return await ChargerStatus.get(charger_id=self.charger_id)

    async def intervals(self) -> list[EnergyInterval]:
        """Every energy interval, in order."""
        return await EnergyInterval.all().order_by("start_at")

    async def sample_count(self) -> int:
        """How many samples are stored."""
        row = await sql.row("SELECT COUNT(*) AS n FROM samples")
        assert row is not None
        return int(row["n"])


async def a_rig(*, connected_at: datetime | None = None, authentication_required: bool = True) -> Rig:
    """A charger that connected an hour ago, at a site where one resident may charge."""
    since = connected_at or at(-60)
    site = await a_site(authentication_required=authentication_required)
    charger_id = await a_charger(site, "Space 1")
    charger = await Charger.get(id=charger_id)
    assert charger.station_id is not None
    user_id = await a_person("Kari Nordmann")
    await a_card(user_id, number=CARD)
    await a_grant(Role.USER, site, user_id=user_id)
    made = await arrived(charger.station_id, process="p1", protocol="ocpp1.6", now=since)
    return Rig(site, charger_id, charger.station_id, user_id, made.epoch, Hearing(since))
