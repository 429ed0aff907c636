"""Worlds made at random: installations, people, programs and charges, in rows and as plain facts for the oracle.

Every name, address, number and text holds a word of its own (`w00042x`), and every energy is a power of two in Wh: whatever stands in an
answer tells whose it is, sums of energies included.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random
from uuid import UUID

from domain.ids import new_id
from domain.models import (
    Alert,
    ApiToken,
    AuditEntry,
    AuthorizationAttempt,
    AuthorizationRequest,
    BalancingDecision,
    CardEnrollment,
    Charger,
    ChargerStatus,
    ChargeSession,
    Circuit,
    Command,
    Export,
    Installation,
    OcppMessage,
    Permission,
    ServiceAccount,
    Station,
)
from domain.roles import (
    AlertKind,
    AlertState,
    AuthorizationDecision,
    BindingLimit,
    CommandAction,
    Decider,
    ExportFormat,
    ReportKind,
    Role,
    Scope,
    SessionFlag,
    SessionState,
    Severity,
)
from tests.factories import (
    NOW,
    Program,
    Site,
    a_card,
    a_charger,
    a_circuit,
    a_grant,
    a_group,
    a_person,
    a_program,
    a_question,
    a_session,
    a_site,
    an_attempt,
)

_LONG = timedelta(days=300)


@dataclass(frozen=True, slots=True)
class SiteFact:
    """An installation."""

    id: UUID
    words: frozenset[str]
    circuits: dict[UUID, str]
    """Circuit → its word."""


@dataclass(frozen=True, slots=True)
class ChargerFact:
    """A charger; `site_id` is where it stands now."""

    id: UUID
    site_id: UUID
    name: str
    identity: str
    serial_number: str
    is_removed: bool
    status_wh: int


@dataclass(frozen=True, slots=True)
class PersonFact:
    """An account."""

    id: UUID
    name: str
    email: str
    is_administrator: bool
    is_active: bool


@dataclass(frozen=True, slots=True)
class GroupFact:
    """A group at an installation."""

    id: UUID
    site_id: UUID
    name: str
    members: frozenset[UUID]


@dataclass(frozen=True, slots=True)
class GrantFact:
    """A permission; one of person, group and address holds it."""

    id: UUID
    site_id: UUID
    charger_id: UUID | None
    role: Role
    user_id: UUID | None
    group_id: UUID | None
    email: str | None
    valid_from: datetime
    valid_to: datetime | None
    is_revoked: bool
    granted_by_id: UUID
    external_id: str

    @property
    def is_in_force(self) -> bool:
        """Whether it holds now."""
        return not self.is_revoked and self.valid_from <= NOW and (self.valid_to is None or self.valid_to > NOW)

    @property
    def is_over(self) -> bool:
        """Whether it will never hold again."""
        return self.is_revoked or (self.valid_to is not None and self.valid_to <= NOW)


@dataclass(frozen=True, slots=True)
class CardFact:
    """A charge card."""

    id: UUID
    user_id: UUID
    name: str
    number: str


@dataclass(frozen=True, slots=True)
class SessionFact:
    """A charge, under the names that it took along."""

    id: UUID
    site_id: UUID
    charger_id: UUID
    circuit_id: UUID
    user_id: UUID | None
    card_id: UUID | None
    started_at: datetime
    wh: int
    state: SessionState
    words: frozenset[str]


@dataclass(frozen=True, slots=True)
class AttemptFact:
    """An attempt to charge."""

    id: UUID
    site_id: UUID
    charger_id: UUID
    user_id: UUID | None
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class ProgramFact:
    """A service account with the one token that it comes by."""

    id: UUID
    token_id: UUID
    words: frozenset[str]
    """Of its name and of its token."""
    name: str
    scopes: frozenset[Scope]
    """Of the token, as far as the account has them; none when the token is over."""
    is_in_use: bool
    site_ids: frozenset[UUID]
    knows: dict[UUID, str]
    """Person → the program's own id for them."""


@dataclass(frozen=True, slots=True)
class OtherFact:
    """Anything else with an id: `site_id`, `charger_id` and `user_id` say whose it is."""

    kind: str
    id: UUID
    site_id: UUID | None
    charger_id: UUID | None
    user_id: UUID | None
    words: frozenset[str]


@dataclass(slots=True)
class World:
    """All of it."""

    random: Random
    count: int = 0
    sites: list[SiteFact] = field(default_factory=list)
    chargers: list[ChargerFact] = field(default_factory=list)
    people: list[PersonFact] = field(default_factory=list)
    groups: list[GroupFact] = field(default_factory=list)
    grants: list[GrantFact] = field(default_factory=list)
    cards: list[CardFact] = field(default_factory=list)
    sessions: list[SessionFact] = field(default_factory=list)
    attempts: list[AttemptFact] = field(default_factory=list)
    programs: list[ProgramFact] = field(default_factory=list)
    handles: dict[UUID, Program] = field(default_factory=dict)
    others: list[OtherFact] = field(default_factory=list)

    def word(self) -> str:
        """A word that stands nowhere else."""
        self.count += 1
        return f"w{self.count:05}x"

    def words(self) -> list[str]:
        """All of them."""
        return [f"w{number:05}x" for number in range(1, self.count + 1)]

    def charger(self, charger_id: UUID) -> ChargerFact:
        """The charger of that id."""
        return next(one for one in self.chargers if one.id == charger_id)


async def a_world(random: Random) -> World:
    """Three installations and whoever has to do with them; some of it is over, some not yet, some is nobody's."""
    world = World(random)
    for _ in range(6):
        await _person(world, is_administrator=False)
    await _person(world, is_administrator=True)
    sites = [await _site(world) for _ in range(3)]
    for site in sites:
        await _groups(world, site)
    await _programs(world, sites)
    for _ in range(22):
        await _grant(world, sites)
    for person in world.people:
        for _ in range(random.choice((0, 1, 1, 2))):
            number, name = world.word(), world.word()
            card_id = await a_card(person.id, number=f"04{number}7F".upper(), name=f"Tag {name}")
            world.cards.append(CardFact(card_id, person.id, name, number))
    for site in sites:
        await _charges(world, site)
        await _others(world, site)
    await _moved(world, sites)
    return world


async def _person(world: World, *, is_administrator: bool) -> None:
    name, email = world.word(), world.word()
    is_active = is_administrator or world.random.random() > 0.1
    identity = await a_person(
        f"Person {name}", email=f"{email}@example.com", is_administrator=is_administrator, is_active=is_active
    )
    world.people.append(PersonFact(identity, name, email, is_administrator, is_active))


async def _site(world: World) -> Site:
    name, street = world.word(), world.word()
    site = await a_site(f"Garage {name}")
    await Installation.filter(id=site.id).update(street=f"Street {street}")
    root = world.word()
    await Circuit.filter(id=site.root_id).update(name=f"Main {root}")
    branch = world.word()
    branch_id = await a_circuit(site.id, parent_id=site.root_id, name=f"Circuit {branch}")
    world.sites.append(SiteFact(site.id, frozenset({name, street}), {site.root_id: root, branch_id: branch}))
    for _ in range(world.random.randint(2, 3)):
        await _charger(world, site, branch_id)
    return site


async def _charger(world: World, site: Site, circuit_id: UUID) -> None:
    space, identity, serial = world.word(), world.word(), world.word()
    charger_id = await a_charger(site, f"Space {space}", circuit_id=circuit_id, identity=f"CP-{identity}")
    row = await Charger.get(id=charger_id)
    await Station.filter(id=row.station_id).update(serial_number=f"SN {serial}", vendor=f"Maker {identity}")
    status_wh = 1 << (40 + len(world.chargers))
    await ChargerStatus.filter(charger_id=charger_id).update(session_energy_wh=status_wh, power_w=7_000.0)
    is_removed = world.random.random() < 0.08
    if is_removed:
        await Charger.filter(id=charger_id).update(removed_at=NOW - timedelta(days=1))
    world.chargers.append(ChargerFact(charger_id, site.id, space, identity, serial, is_removed, status_wh))


async def _groups(world: World, site: Site) -> None:
    for _ in range(world.random.randint(1, 2)):
        name = world.word()
        members = world.random.sample([one.id for one in world.people], world.random.randint(1, 3))
        world.groups.append(
            GroupFact(await a_group(site, *members, name=f"Floor {name}"), site.id, name, frozenset(members))
        )


async def _programs(world: World, sites: Sequence[Site]) -> None:
    for _ in range(4):
        name, token_name = world.word(), world.word()
        scopes = world.random.sample(list(Scope), world.random.randint(1, 4))
        places = world.random.sample(list(sites), world.random.randint(1, 2))
        handle = await a_program(*places, scopes=scopes, name=f"System {name}")
        held = world.random.sample(scopes, world.random.randint(1, len(scopes)))
        changed = {"name": f"Token {token_name}", "scopes": ",".join(held)}
        fate = world.random.random()
        ended = {} if fate > 0.2 else {"revoked_at": NOW} if fate > 0.1 else {"expires_at": NOW}
        await ApiToken.filter(id=handle.token_id).update(**changed, **ended)
        await ServiceAccount.filter(id=handle.id).update(name=f"System {name}")
        knows = {}
        for person in world.random.sample(world.people, world.random.randint(0, 2)):
            knows[person.id] = world.word()
            await handle.knows(person.id, f"user-{knows[person.id]}")
        world.handles[handle.id] = handle
        world.programs.append(
            ProgramFact(
                handle.id,
                handle.token_id,
                frozenset({name, token_name}),
                name,
                frozenset() if ended else frozenset(held),
                not ended,
                frozenset(one.id for one in places),
                knows,
            )
        )


async def _grant(world: World, sites: Sequence[Site]) -> None:
    random = world.random
    site = random.choice(list(sites))
    here = [one.id for one in world.chargers if one.site_id == site.id]
    charger_id = random.choice(here) if random.random() < 0.5 else None
    role = random.choice((Role.USER, Role.OWNER) if charger_id else (Role.USER, Role.OWNER, Role.SERVICE))
    groups = [one.id for one in world.groups if one.site_id == site.id]
    kind = random.choice(("person", "person", "person", "group", "address"))
    address = world.word() if kind == "address" else None
    user_id = random.choice([one.id for one in world.people]) if kind == "person" else None
    group_id = random.choice(groups) if kind == "group" else None
    valid_from, valid_to = random.choice(
        (
            (NOW - _LONG, None),
            (NOW - _LONG, NOW + _LONG),
            (NOW - timedelta(days=10), None),
            (NOW - timedelta(days=20), None),
            (NOW - _LONG, NOW),
            (NOW + timedelta(days=1), None),
        )
    )
    is_revoked = random.random() < 0.15
    external_id = world.word()
    granted_by_id = random.choice([*(one.id for one in world.people), *(one.id for one in world.programs)])
    identity = await a_grant(
        role,
        site,
        user_id=user_id,
        group_id=group_id,
        email=None if address is None else f"{address}@example.com",
        charger_id=charger_id,
        valid_from=valid_from,
        valid_to=valid_to,
        external_id=f"grant-{external_id}",
        granted_by_id=granted_by_id,
    )
    if is_revoked:
        await Permission.filter(id=identity).update(revoked_at=NOW - timedelta(hours=1), revoked_by_id=granted_by_id)
    world.grants.append(
        GrantFact(
            identity,
            site.id,
            charger_id,
            role,
            user_id,
            group_id,
            address,
            valid_from,
            valid_to,
            is_revoked,
            granted_by_id,
            external_id,
        )
    )


async def _charges(world: World, site: Site) -> None:
    random = world.random
    here = [one for one in world.chargers if one.site_id == site.id]
    circuit_id = next(reversed(next(one for one in world.sites if one.id == site.id).circuits))
    for _ in range(12):
        charger, started_at = random.choice(here), NOW - timedelta(minutes=random.randint(60, 40 * 24 * 60))
        is_taken = any(one.charger_id == charger.id and one.state is SessionState.ACTIVE for one in world.sessions)
        state = SessionState.ENDED if is_taken or random.random() < 0.85 else SessionState.ACTIVE
        charge = await _charge(world, site, charger.id, circuit_id, started_at, state)
        if state is SessionState.ACTIVE:
            await ChargerStatus.filter(charger_id=charger.id).update(
                session_id=charge.id, session_user_id=charge.user_id
            )
        elif random.random() < 0.2:
            await _correct(world, site, charge)


async def _charge(
    world: World, site: Site, charger_id: UUID, circuit_id: UUID, started_at: datetime, state: SessionState
) -> SessionFact:
    """A charge of whoever it may be."""
    person = world.random.choice([*world.people, None])
    cards = [one for one in world.cards if person is not None and one.user_id == person.id]
    card = world.random.choice([*cards, None])
    wh, words = 1 << len(world.sessions), [world.word() for _ in range(6)]
    session_id = await a_session(
        site,
        charger_id,
        user_id=None if person is None else person.id,
        card_id=None if card is None else card.id,
        started_at=started_at,
        ended_at=started_at + timedelta(minutes=45),
        energy_wh=wh,
        state=state,
    )
    await ChargeSession.filter(id=session_id).update(
        circuit_id=circuit_id,
        installation_name=f"Then {words[0]}",
        circuit_name=f"Then {words[1]}",
        charger_name=f"Then {words[2]}",
        user_name=None if person is None else f"Then {words[3]}",
        card_name=None if card is None else f"Then {words[4]}",
        external_id=f"stay-{words[5]}",
    )
    charge = SessionFact(
        session_id,
        site.id,
        charger_id,
        circuit_id,
        None if person is None else person.id,
        None if card is None else card.id,
        started_at,
        wh,
        state,
        frozenset(words),
    )
    world.sessions.append(charge)
    return charge


async def _correct(world: World, site: Site, charge: SessionFact) -> None:
    """It turns out to have been another charge, perhaps of somebody else and before an owner's time."""
    earlier = charge.started_at - timedelta(minutes=world.random.choice((0, 30, 5 * 24 * 60)))
    correction = await _charge(world, site, charge.charger_id, charge.circuit_id, earlier, SessionState.ENDED)
    await ChargeSession.filter(id=charge.id).update(
        state=SessionState.VOID, flags=int(SessionFlag.VOID), replaced_by_id=correction.id
    )
    world.sessions[world.sessions.index(charge)] = replace(charge, state=SessionState.VOID)


async def _others(world: World, site: Site) -> None:
    random = world.random
    here = [one for one in world.chargers if one.site_id == site.id]
    for _ in range(4):
        charger, person, reason = random.choice(here), random.choice([*world.people, None]), world.word()
        user_id = None if person is None else person.id
        at = NOW - timedelta(hours=random.randint(1, 24 * 30))
        charges = [one.id for one in world.sessions if one.charger_id == charger.id]
        session_id = random.choice([*charges, None])
        attempt_id = await an_attempt(
            site, charger.id, user_id=user_id, session_id=session_id, card=f"04{world.word()}99", at=at
        )
        await AuthorizationAttempt.filter(id=attempt_id).update(reason=f"Because {reason}")
        world.attempts.append(AttemptFact(attempt_id, site.id, charger.id, user_id, at, reason))
    charger, token, person, reason = random.choice(here), world.word(), random.choice(world.people), world.word()
    question_id = await a_question(site, charger.id, card=f"04{token}AA".upper(), user_id=person.id)
    await AuthorizationRequest.filter(id=question_id).update(
        decision=AuthorizationDecision.BLOCKED, decided_by=Decider.SUBSCRIBER, decided_at=NOW, reason=f"Said {reason}"
    )
    _add(world, "AuthorizationRequest", question_id, site.id, charger.id, None, token, reason)
    await _decision(world, site, [one.id for one in here])
    for charger_id in (random.choice(here).id, random.choice(here).id, None):
        await _alert(world, site, charger_id, random.choice(world.people))
    for _ in range(2):
        charger, actor, state = random.choice(here), world.word(), world.word()
        entry = await AuditEntry.create(
            id=new_id(),
            installation_id=site.id,
            at=NOW - timedelta(hours=random.randint(1, 500)),
            actor=f"Actor {actor}",
            action="charger.changed",
            object_type="Charger",
            object_id=charger.id,
            state_after=f'{{"name": "Once {state}"}}',
        )
        _add(world, "AuditEntry", entry.id, site.id, charger.id, None, actor, state)
    charger, person = random.choice(here), random.choice(world.people)
    detail = world.word()
    command = await Command.create(
        id=new_id(),
        installation_id=site.id,
        charger_id=charger.id,
        requested_by_id=person.id,
        action=CommandAction.RESTART,
        requested_at=NOW,
        deadline=NOW,
        detail=f"Said {detail}",
    )
    _add(world, "Command", command.id, site.id, charger.id, person.id, detail)
    row, said = await Charger.get(id=charger.id), world.word()
    message = await OcppMessage.create(
        station_id=row.station_id,
        installation_id=site.id,
        at=NOW,
        is_from_charger=True,
        action="DataTransfer",
        payload=f'{{"vendorId": "{said}"}}',
    )
    _add(world, "OcppMessage", message.id, site.id, charger.id, None, said)
    person, name = random.choice(world.people), world.word()
    export = await Export.create(
        id=new_id(),
        user_id=person.id,
        kind=ReportKind.SUMMARY,
        format=ExportFormat.XLSX,
        parameters="{}",
        file_name=f"{name}.xlsx",
        created_at=NOW,
    )
    _add(world, "Export", export.id, None, None, person.id, name)
    person, charger = random.choice(world.people), random.choice(here)
    enrolment = await CardEnrollment.create(
        id=new_id(),
        installation_id=site.id,
        charger_id=charger.id,
        user_id=person.id,
        name=f"New {world.word()}",
        requested_by_id=person.id,
        created_at=NOW,
        expires_at=NOW + timedelta(minutes=5),
    )
    _add(world, "CardEnrollment", enrolment.id, site.id, charger.id, person.id)


async def _alert(world: World, site: Site, charger_id: UUID | None, person: PersonFact) -> None:
    """One of the charger, or (None) of the whole site, after which that person looks."""
    message, note = world.word(), world.word()
    row = await Alert.create(
        id=new_id(),
        installation_id=site.id,
        charger_id=charger_id,
        kind=AlertKind.INTERNAL if charger_id else AlertKind.METER_STALE,
        severity=Severity.ERROR,
        state=AlertState.ACKNOWLEDGED,
        message=f"Broken {message}",
        opened_at=NOW,
        acknowledged_at=NOW,
        acknowledged_by_id=person.id,
        note=f"Comes {note}",
    )
    _add(world, "Alert", row.id, site.id, charger_id, person.id, message, note)
    if charger_id is not None:
        _add(world, "ChargerWarning", row.id, site.id, charger_id, None, message)


async def _decision(world: World, site: Site, charger_ids: Sequence[UUID]) -> None:
    """One of the balancer, about every charger that stood there."""
    kept, allocated = (
        world.word(),
        [
            {
                "charger": str(one),
                "current": 6,
                "phases": ["L1"],
                "limit": BindingLimit.CIRCUIT,
                "limiting_circuit": str(site.root_id),
            }
            for one in charger_ids
        ],
    )
    row = await BalancingDecision.create(
        id=new_id(),
        installation_id=site.id,
        decided_at=NOW,
        triggered_by="change",
        instance=json.dumps({"circuits": [{"id": kept}]}),
        allocation=json.dumps({"allocation": allocated, "overloaded": [{"circuit": str(site.root_id)}]}),
    )
    _add(world, "BalancingDecision", row.id, site.id, None, None, kept)


def _add(
    world: World,
    kind: str,
    identity: UUID,
    site_id: UUID | None,
    charger_id: UUID | None,
    user_id: UUID | None,
    *words: str,
) -> None:
    world.others.append(OtherFact(kind, identity, site_id, charger_id, user_id, frozenset(words)))


async def _moved(world: World, sites: Sequence[Site]) -> None:
    """One charger stands elsewhere now; its grants, charges and the rest of its past stay where they were."""
    moved = world.random.choice(world.chargers)
    target = world.random.choice([one for one in sites if one.id != moved.site_id])
    circuit_id = next(reversed(next(one for one in world.sites if one.id == target.id).circuits))
    await Charger.filter(id=moved.id).update(installation_id=target.id, circuit_id=circuit_id)
    await ChargerStatus.filter(charger_id=moved.id).update(installation_id=target.id, session_id=None)
    world.chargers[world.chargers.index(moved)] = replace(moved, site_id=target.id)
