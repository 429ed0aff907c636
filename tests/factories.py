"""Rows for tests, each with as little said as the test cares about."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import count
from uuid import UUID

from domain.access import Access, access_of, access_of_program
from domain.ids import new_id
from domain.lifecycle import Arrival, Connected, Login, connected
from domain.models import (
    Alert,
    AlertSubscription,
    ApiToken,
    AuthorizationAttempt,
    AuthorizationRequest,
    ChargeCard,
    Charger,
    ChargerStatus,
    ChargeSession,
    Circuit,
    ExternalUser,
    GroupMember,
    Installation,
    Offer,
    Permission,
    ServiceAccount,
    ServiceAccountInstallation,
    Station,
    Tariff,
    TariffAssignment,
    User,
    UserGroup,
)
from domain.pricing.money import MICRO
from domain.pricing.parts import TariffPart, written
from domain.roles import (
    AlertKind,
    AlertState,
    AuthorizationDecision,
    CostUnit,
    CredentialType,
    Decider,
    InstallationCategory,
    NetworkType,
    PhaseRotation,
    Role,
    Scope,
    SessionState,
    Severity,
)

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=365)
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Site:
    """An installation and its main breaker."""

    id: UUID
    root_id: UUID


async def a_person(
    name: str = "Kari Nordmann",
    *,
    email: str | None = None,
    password: str | None = None,
    is_administrator: bool = False,
    is_active: bool = True,
    is_proven: bool = True,
) -> UUID:
    """An account; its password as `fakes.PlainPasswords` keeps it. `is_proven`: the address is theirs."""
    row = await User.create(
        id=new_id(),
        name=name,
        email=email if email is not None else f"person{next(_numbers)}@example.com",
        email_verified_at=LONG_AGO if is_proven else None,
        password_hash=None if password is None else f"plain:{password}",
        is_administrator=is_administrator,
        is_active=is_active,
        created_at=LONG_AGO,
    )
    return row.id


async def a_site(
    name: str = "Fjordveien garage",
    *,
    breaker_a: float = 63.0,
    network_type: NetworkType = NetworkType.TN_3_PHASE,
    time_zone: str = "Europe/Oslo",
    category: InstallationCategory = InstallationCategory.COMMUNITY,
    authentication_required: bool = True,
) -> Site:
    """An installation with its root circuit."""
    row = await Installation.create(
        id=new_id(),
        name=name,
        street="Fjordveien 1",
        postal_code="0250",
        city="Oslo",
        country_code="NO",
        time_zone=time_zone,
        currency="NOK",
        category=category,
        network_type=network_type,
        authentication_required=authentication_required,
        created_at=LONG_AGO,
    )
    return Site(row.id, await a_circuit(row.id, name="Main breaker", breaker_a=breaker_a))


async def a_circuit(
    installation_id: UUID, *, parent_id: UUID | None = None, name: str = "Circuit A", breaker_a: float = 32.0
) -> UUID:
    """A circuit; without a parent it is the main breaker."""
    row = await Circuit.create(
        id=new_id(),
        installation_id=installation_id,
        parent_id=parent_id,
        name=name,
        breaker_l1=breaker_a,
        breaker_l2=breaker_a,
        breaker_l3=breaker_a,
        created_at=LONG_AGO,
    )
    return row.id


async def a_charger(
    site: Site,
    name: str = "Space 1",
    *,
    circuit_id: UUID | None = None,
    identity: str | None = None,
    phase_rotation: PhaseRotation = PhaseRotation.RST,
    max_current_a: float = 32.0,
    password_hash: str = "",
) -> UUID:
    """A charger with its station, live status and offer."""
    number = next(_numbers)
    station = await Station.create(
        id=new_id(),
        identity=identity or f"charger-{number}",
        password_hash=password_hash,
        vendor="Acme",
        model="One",
        serial_number=f"SN-{number}",
        created_at=LONG_AGO,
    )
    row = await Charger.create(
        id=new_id(),
        installation_id=site.id,
        circuit_id=circuit_id or site.root_id,
        station_id=station.id,
        name=name,
        phase_rotation=phase_rotation,
        max_current_a=max_current_a,
        created_at=LONG_AGO,
    )
    await ChargerStatus.create(charger_id=row.id, installation_id=site.id)
    await Offer.create(charger_id=row.id, installation_id=site.id)
    return row.id


async def a_grant(
    role: Role,
    site: Site,
    *,
    user_id: UUID | None = None,
    email: str | None = None,
    group_id: UUID | None = None,
    charger_id: UUID | None = None,
    valid_from: datetime = LONG_AGO,
    valid_to: datetime | None = None,
    external_id: str | None = None,
    granted_by_id: UUID | None = None,
) -> UUID:
    """A permission, valid for a year already."""
    row = await Permission.create(
        id=new_id(),
        user_id=user_id,
        email=email,
        group_id=group_id,
        installation_id=site.id,
        charger_id=charger_id,
        role=role,
        valid_from=valid_from,
        valid_to=valid_to,
        granted_by_id=granted_by_id,
        granted_at=valid_from,
        invitation_expires_at=None if email is None else NOW + timedelta(days=30),
        external_id=external_id,
    )
    return row.id


async def a_group(site: Site, *members: UUID, name: str = "First floor") -> UUID:
    """A group of people at the site, which holds nothing yet."""
    row = await UserGroup.create(id=new_id(), installation_id=site.id, name=name, created_at=LONG_AGO)
    for member in members:
        await GroupMember.create(group_id=row.id, user_id=member, added_at=LONG_AGO)
    return row.id


async def a_card(user_id: UUID, *, number: str = "04A1B2C3", name: str = "Blue tag", is_blocked: bool = False) -> UUID:
    """A charge card."""
    row = await ChargeCard.create(
        id=new_id(), user_id=user_id, number=number, name=name, is_blocked=is_blocked, created_at=LONG_AGO
    )
    return row.id


async def a_session(
    site: Site,
    charger_id: UUID,
    *,
    user_id: UUID | None = None,
    user_name: str | None = None,
    card_id: UUID | None = None,
    started_at: datetime = NOW - timedelta(hours=5),
    ended_at: datetime | None = NOW - timedelta(hours=1),
    energy_wh: int | None = 7_200,
    state: SessionState = SessionState.ENDED,
    flags: int = 0,
) -> UUID:
    """A charge session; ENDED ones are registered at their end."""
    end = None if state is SessionState.ACTIVE else ended_at
    row = await ChargeSession.create(
        id=new_id(),
        installation_id=site.id,
        circuit_id=site.root_id,
        charger_id=charger_id,
        user_id=user_id,
        user_name=user_name,
        card_id=card_id,
        installation_name="Fjordveien garage",
        circuit_name="Main breaker",
        charger_name="Space 1",
        time_zone="Europe/Oslo",
        state=state,
        flags=flags,
        started_at=started_at,
        ended_at=end,
        registered_at=end,
        energy_wh=energy_wh,
        connected_s=0 if end is None else int((end - started_at).total_seconds()),
        created_at=started_at,
    )
    return row.id


async def an_attempt(
    site: Site,
    charger_id: UUID,
    *,
    user_id: UUID | None = None,
    session_id: UUID | None = None,
    card: str = "04A1B2C3",
    at: datetime = NOW - timedelta(hours=5),
) -> UUID:
    """An attempt to charge that was accepted."""
    row = await AuthorizationAttempt.create(
        installation_id=site.id,
        charger_id=charger_id,
        credential_type=CredentialType.CARD,
        token=card,
        user_id=user_id,
        session_id=session_id,
        at=at,
        decision=AuthorizationDecision.ACCEPTED,
        decided_by=Decider.NATIVE,
        reason="Permitted here.",
    )
    return row.id


async def an_alert(
    installation_id: UUID,
    charger_id: UUID | None = None,
    *,
    kind: AlertKind = AlertKind.CABLE_FAULT,
    circuit_id: UUID | None = None,
    folded_into: UUID | None = None,
    severity: Severity = Severity.ERROR,
    opened_at: datetime = NOW,
    resolved_at: datetime | None = None,
) -> UUID:
    """Something that is wrong there."""
    row = await Alert.create(
        id=new_id(),
        installation_id=installation_id,
        charger_id=charger_id,
        circuit_id=circuit_id,
        folded_into_id=folded_into,
        kind=kind,
        severity=severity,
        state=AlertState.OPEN if resolved_at is None else AlertState.RESOLVED,
        open_key=f"{kind}:{charger_id or circuit_id or installation_id}" if resolved_at is None else None,
        message="Something is broken.",
        opened_at=opened_at,
        resolved_at=resolved_at,
    )
    return row.id


async def a_subscription(
    installation_id: UUID, user_id: UUID, *, charger_ids: Sequence[UUID] = (), email: str | None = None
) -> UUID:
    """A person's wish for mails about alerts there; one to another address has not been confirmed."""
    row = await AlertSubscription.create(
        installation_id=installation_id,
        user_id=user_id,
        charger_ids=",".join(map(str, charger_ids)),
        email=email,
        created_at=NOW,
        verified_at=NOW if email is None else None,
    )
    return row.id


async def a_question(site: Site, charger_id: UUID, *, card: str = "04A1B2C3", user_id: UUID | None = None) -> UUID:
    """A question to the site's external system that waits for an answer."""
    row = await AuthorizationRequest.create(
        installation_id=site.id,
        charger_id=charger_id,
        credential_type=CredentialType.CARD,
        token=card,
        user_id=user_id,
        requested_at=NOW,
        expires_at=NOW + timedelta(seconds=5),
        native_decision=AuthorizationDecision.INVALID,
    )
    return row.id


ONE_A_KWH = TariffPart(CostUnit.KWH, MICRO)
"""1.00 for a kWh, always."""


async def a_tariff(site: Site, *parts: TariffPart, name: str = "Standard", vat_percent: int = 0) -> UUID:
    """A tariff that holds for nobody yet: 1.00 for a kWh where no parts are given."""
    row = await Tariff.create(
        id=new_id(),
        installation_id=site.id,
        name=name,
        vat_micro=vat_percent * MICRO,
        parts=written(parts or (ONE_A_KWH,)),
        created_at=LONG_AGO,
    )
    return row.id


async def a_tariff_assignment(
    site: Site,
    tariff_id: UUID,
    *,
    user_id: UUID | None = None,
    group_id: UUID | None = None,
    valid_from: date = date(2020, 1, 1),
    valid_to: date | None = None,
) -> UUID:
    """The tariff holds for the person, the group, or all of the site."""
    row = await TariffAssignment.create(
        id=new_id(),
        tariff_id=tariff_id,
        installation_id=site.id,
        user_id=user_id,
        group_id=group_id,
        valid_from=valid_from,
        valid_to=valid_to,
    )
    return row.id


async def access(user_id: UUID, *, now: datetime = NOW) -> Access:
    """What that person holds at `now`, by a sign-in that is not looked at."""
    return await access_of(user_id, now=now)


@dataclass(frozen=True, slots=True)
class Program:
    """A service account and one token of it, whose secret is `secret` under `SignedTokens` of any key."""

    id: UUID
    token_id: UUID
    secret: str

    async def access(self, *, now: datetime = NOW) -> Access:
        """What it holds at `now` by that token."""
        return await access_of_program(self.id, self.token_id, now=now)

    async def knows(self, user_id: UUID, external_id: str) -> None:
        """It has an id of its own for that person."""
        await ExternalUser.create(account_id=self.id, external_id=external_id, user_id=user_id, created_at=LONG_AGO)


async def a_program(*sites: Site, scopes: Sequence[Scope] = tuple(Scope), name: str = "Access system") -> Program:
    """A service account with these scopes at these sites, and a token with all of them."""
    number = next(_numbers)
    account = await ServiceAccount.create(id=new_id(), name=name, scopes=",".join(scopes), created_at=LONG_AGO)
    for site in sites:
        await ServiceAccountInstallation.create(account_id=account.id, installation_id=site.id)
    prefix = f"lade_{number:08}"
    secret = f"{prefix}_{new_id().hex}"
    token = await ApiToken.create(
        id=new_id(),
        account_id=account.id,
        name="Production",
        prefix=prefix,
        digest=hashlib.sha256(secret.encode()).hexdigest(),
        created_at=LONG_AGO,
    )
    return Program(account.id, token.id, secret)


PEOPLE = (
    "USER of charger",
    "USER of installation",
    "OWNER of charger",
    "OWNER of installation",
    "SERVICE",
    "ADMINISTRATOR",
    "stranger",
)
"""One person for each role, by what tests call them."""


@dataclass(frozen=True, slots=True)
class Town:
    """A site with two chargers and one person for each role; another site of which only the administrator knows."""

    site: Site
    charger_id: UUID
    """On which the holders of charger grants hold them."""
    neighbour_id: UUID
    other_site: Site
    other_charger_id: UUID
    people: dict[str, UUID]

    async def access(self, person: str, *, now: datetime = NOW) -> Access:
        """That person's access; that of nobody for `not signed in`."""
        return await access(self.people[person], now=now) if person in self.people else Access.nobody(now)


async def a_town() -> Town:
    """The smallest world in which every role of domain.md §2 has its person."""
    site, other = await a_site(), await a_site("Elsewhere")
    charger_id = await a_charger(site, "Space 1")
    people = {name: await a_person(name, is_administrator=name == "ADMINISTRATOR") for name in PEOPLE}
    grants: Sequence[tuple[str, Role, UUID | None]] = (
        ("USER of charger", Role.USER, charger_id),
        ("USER of installation", Role.USER, None),
        ("OWNER of charger", Role.OWNER, charger_id),
        ("OWNER of installation", Role.OWNER, None),
        ("SERVICE", Role.SERVICE, None),
    )
    for name, role, charger in grants:
        await a_grant(role, site, user_id=people[name], charger_id=charger)
    return Town(
        site=site,
        charger_id=charger_id,
        neighbour_id=await a_charger(site, "Space 2"),
        other_site=other,
        other_charger_id=await a_charger(other, "Hidden"),
        people=people,
    )


async def arrived(station_id: UUID, *, process: str = "p1", protocol: str = "ocpp1.6", now: datetime) -> Connected:
    """The station has connected to that process."""
    arrival = Arrival(Login(station_id, is_rotation=False), protocol)
    return (await connected([arrival], process=process, now=now))[station_id]
