"""The world of the access matrix: a site with something of everything in it, and one caller for each way to hold rights."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from domain.access import Access, access_of_program
from domain.current.current_schedule import ScheduleEntry, written
from domain.ids import new_id
from domain.models import (
    Alert,
    ApiToken,
    AuditEntry,
    BalancingDecision,
    CardEnrollment,
    Charger,
    ChargerStatus,
    ChargeSession,
    Circuit,
    Command,
    Export,
    ExternalAuthentication,
    GroupMember,
    Installation,
    MeterKey,
    OcppMessage,
    Offer,
    Permission,
    ReportDelivery,
    ServiceAccount,
    ServiceAccountInstallation,
    SignedRecord,
    UnknownCharger,
    UserGroup,
)
from domain.observations import ConnectorStatus
from domain.reporting.report_schedules import ScheduleWish, create_report_schedule
from domain.reporting.reports import LockWish, lock_report
from domain.roles import (
    AlertKind,
    AlertState,
    BindingLimit,
    CommandAction,
    CommandState,
    EnrollmentState,
    ExportFormat,
    ExportState,
    OperatingMode,
    RecordPlace,
    ReportKind,
    Role,
    Scope,
    SessionFlag,
    SessionState,
    Severity,
    Weekday,
)
from domain.units import PhaseAmps
from tests.factories import (
    LONG_AGO,
    NOW,
    Town,
    a_card,
    a_circuit,
    a_grant,
    a_person,
    a_question,
    a_session,
    a_subscription,
    a_tariff,
    a_tariff_assignment,
    a_town,
    access,
    an_alert,
    an_attempt,
)
from tests.gql.matrix import ELSEWHERE, FORMER, KNOCKS, PROGRAM_ELSEWHERE, PROGRAMS


@dataclass(frozen=True, slots=True)
class City:
    """A town with contents. `nodes` are the things that fields are asked of, by what the rows call them."""

    town: Town
    people: Mapping[str, UUID]
    programs: Mapping[str, tuple[UUID, UUID]]
    """(service account, token) of each program."""
    nodes: Mapping[str, UUID]

    async def access(self, caller: str) -> Access:
        """What that caller holds."""
        if caller in self.programs:
            account_id, token_id = self.programs[caller]
            return await access_of_program(account_id, token_id, now=NOW)
        return await access(self.people[caller]) if caller in self.people else Access.nobody(NOW)


async def a_city(*, is_empty: bool = False) -> City:
    """Built once; every cell gets a copy of its database. `is_empty`: the callers are there, and nothing goes on."""
    town = await a_town()
    people = dict(town.people)
    people[ELSEWHERE] = await _someone_elsewhere(town)
    people[FORMER] = await _former_owner(town)
    programs = {name: await _a_program(name, town.site.id, scope) for name, scope in zip(PROGRAMS, Scope, strict=True)}
    programs[PROGRAM_ELSEWHERE] = await _a_program(PROGRAM_ELSEWHERE, town.other_site.id, *Scope)
    nodes = {} if is_empty else {**await _contents(town), "service account": programs["program READ_STATUS"][0]}
    return City(town, people, programs, nodes)


async def _someone_elsewhere(town: Town) -> UUID:
    person = await a_person(ELSEWHERE)
    for role in (Role.USER, Role.OWNER, Role.SERVICE):
        await a_grant(role, town.other_site, user_id=person)
    for role in (Role.USER, Role.OWNER):
        await a_grant(role, town.other_site, user_id=person, charger_id=town.other_charger_id)
    return person


NIGHTS = ScheduleEntry(tuple(Weekday), time(22), time(6), PhaseAmps.even(40.0))


async def _former_owner(town: Town) -> UUID:
    """Held everything until yesterday."""
    person = await a_person(FORMER)
    yesterday = NOW - timedelta(days=1)
    for role in (Role.USER, Role.OWNER, Role.SERVICE):
        await a_grant(role, town.site, user_id=person, valid_to=yesterday)
    await a_grant(Role.OWNER, town.site, user_id=person, charger_id=town.charger_id, valid_to=yesterday)
    return person


async def _a_program(name: str, installation_id: UUID, *scopes: Scope) -> tuple[UUID, UUID]:
    account = await ServiceAccount.create(id=new_id(), name=name, scopes=",".join(scopes), created_at=LONG_AGO)
    await ServiceAccountInstallation.create(account_id=account.id, installation_id=installation_id)
    token = await ApiToken.create(
        id=new_id(),
        account_id=account.id,
        name="First",
        prefix=account.id.hex[-12:],
        digest=account.id.hex,
        created_at=LONG_AGO,
    )
    return account.id, token.id


async def _contents(town: Town) -> dict[str, UUID]:
    """Something of every kind at the site; the charges are those of `USER of charger`, at the charger that they may use."""
    site, driver = town.site, town.people["USER of charger"]
    branch = await a_circuit(site.id, parent_id=site.root_id)
    await Circuit.filter(id=branch).update(meter_l1=20.0, meter_l2=20.0, meter_l3=20.0, metered_at=NOW)
    await Installation.filter(id=site.id).update(
        fallback_l1=10.0, fallback_l2=10.0, fallback_l3=10.0, current_schedule=written([NIGHTS])
    )
    # The neighbour's station has said nothing for long, so that the coverage of a report has something to tell.
    await Charger.filter(id=town.neighbour_id).update(circuit_id=branch)
    card = await a_card(driver)
    session = await a_session(
        site, town.charger_id, user_id=driver, user_name="USER of charger", card_id=card, flags=SessionFlag.SIGNED
    )
    await _signed(town, session)
    corrected = await a_session(site, town.charger_id, user_id=driver, card_id=card, state=SessionState.VOID)
    await ChargeSession.filter(id=corrected).update(replaced_by_id=session)
    active = await a_session(site, town.charger_id, user_id=driver, card_id=card, state=SessionState.ACTIVE)
    await _going_on(town, active, driver, branch)
    await AuditEntry.create(
        installation_id=site.id,
        at=NOW,
        actor="SERVICE",
        action="circuit.update",
        object_type="Circuit",
        object_id=branch,
    )
    await ExternalAuthentication.create(installation_id=site.id)
    await UnknownCharger.create(identity=KNOCKS, first_seen_at=NOW, last_seen_at=NOW, address="192.0.2.7")
    group = await _a_group(town)
    return {
        "subscription": await a_subscription(
            site.id, town.people["OWNER of installation"], charger_ids=[town.charger_id]
        ),
        "alert": await _a_fault(town),
        "circuit alert": await an_alert(site.id, kind=AlertKind.CIRCUIT_OVERLOAD, circuit_id=branch),
        "installation": site.id,
        "charger": town.charger_id,
        "circuit": branch,
        "session": session,
        "corrected session": corrected,
        "active session": active,
        "card": card,
        "user": driver,
        "permission": await _grant_of(driver, town),
        "group": group,
        "decision": await _a_decision(town, branch),
        "OCPP message": await _a_message(town),
        "command": await _a_command(town, active, driver),
        "enrollment": await _an_enrollment(town, driver, card),
        "attempt": await an_attempt(site, town.charger_id, user_id=driver, session_id=session),
        "question": await a_question(site, town.charger_id),
        "tariff": await _a_tariff(town, driver, group),
        "schedule": await _a_schedule(town),
        "locked report": await _a_locked_report(town),
        "export": await _an_export(town.people["OWNER of installation"]),
    }


async def _going_on(town: Town, session_id: UUID, driver: UUID, circuit_id: UUID) -> None:
    await ChargerStatus.filter(charger_id=town.charger_id).update(
        mode=OperatingMode.CHARGING,
        is_online=True,
        connector_status=ConnectorStatus.CHARGING,
        session_id=session_id,
        session_user_id=driver,
        session_energy_wh=3_500,
        power_w=7_200.0,
        current_l1=10.5,
        current_l2=10.5,
        current_l3=10.5,
        allocated_a=16.0,
        allocated_phases="L1L2L3",
        observed_at=NOW,
        received_at=NOW,
        measured_at=NOW,
    )
    await Offer.filter(charger_id=town.charger_id).update(
        binding_limit=BindingLimit.CIRCUIT,
        limiting_circuit_id=circuit_id,
        reason="Circuit A is full.",
        queue_position=1,
        decided_at=NOW,
    )


async def _a_group(town: Town) -> UUID:
    """Its one member is `USER of installation`."""
    group = await UserGroup.create(id=new_id(), installation_id=town.site.id, name="First floor", created_at=LONG_AGO)
    await GroupMember.create(group_id=group.id, user_id=town.people["USER of installation"], added_at=LONG_AGO)
    return group.id


async def _a_tariff(town: Town, driver: UUID, group: UUID) -> UUID:
    """For all of the site, for the group, and for the driver."""
    tariff = await a_tariff(town.site)
    await a_tariff_assignment(town.site, tariff)
    await a_tariff_assignment(town.site, tariff, group_id=group)
    await a_tariff_assignment(town.site, tariff, user_id=driver)
    return tariff


async def _grant_of(person: UUID, town: Town) -> UUID:
    row = await Permission.get(user_id=person, charger_id=town.charger_id)
    return row.id


async def _an_enrollment(town: Town, person: UUID, card_id: UUID) -> UUID:
    row = await CardEnrollment.create(
        installation_id=town.site.id,
        charger_id=town.charger_id,
        user_id=person,
        name="New",
        requested_by_id=person,
        state=EnrollmentState.ENROLLED,
        created_at=NOW,
        expires_at=NOW + timedelta(minutes=1),
        card_id=card_id,
    )
    return row.id


async def _a_decision(town: Town, circuit_id: UUID) -> UUID:
    given = {"charger": str(town.charger_id), "current": 16.0, "phases": ["L1", "L2", "L3"], "limit": "CIRCUIT"}
    allocation = {"allocation": [given], "overloaded": [{"circuit": str(circuit_id)}]}
    row = await BalancingDecision.create(
        id=new_id(),
        installation_id=town.site.id,
        decided_at=NOW,
        triggered_by="test",
        instance="{}",
        allocation=json.dumps(allocation),
    )
    return row.id


async def _a_message(town: Town) -> UUID:
    charger = await Charger.get(id=town.charger_id)
    row = await OcppMessage.create(
        station_id=charger.station_id,
        installation_id=town.site.id,
        at=NOW,
        is_from_charger=True,
        action="StatusNotification",
        payload='{"status": "Available"}',
    )
    return row.id


async def _a_locked_report(town: Town) -> UUID:
    """It carries a correction of the month before, and there is one of its own to come."""
    owner = await access(town.people["OWNER of installation"])
    reports = []
    for month in (12, 1):
        since = date(2025 if month == 12 else 2026, month, 1)
        until = (since + timedelta(days=31)).replace(day=1)
        reports.append(await lock_report(owner, town.site.id, LockWish(since, until)))
        start = datetime(since.year, since.month, 9, tzinfo=UTC)
        await a_session(town.site, town.charger_id, started_at=start, ended_at=start + timedelta(hours=1))
    return reports[-1]


async def _a_schedule(town: Town) -> UUID:
    owner = await access(town.people["OWNER of installation"])
    wish = ScheduleWish(recipients=("manager@example.com",))
    schedule = await create_report_schedule(owner, town.site.id, wish)
    await ReportDelivery.create(
        schedule_id=schedule,
        from_date=date(2026, 2, 1),
        to_date=date(2026, 3, 1),
        subject="manager@example.com",
        recipient="manager@example.com",
        planned_at=NOW,
    )
    return schedule


async def _signed(town: Town, session: UUID) -> None:
    await SignedRecord.create(
        session_id=session,
        installation_id=town.site.id,
        place=RecordPlace.END,
        at=NOW,
        received_at=NOW,
        format="OCMF",
        record="OCMF|{}|{}",
    )
    await MeterKey.create(charger_id=town.charger_id, public_key="04", known_since=NOW)


async def _a_fault(town: Town) -> UUID:
    row = await Alert.create(
        id=new_id(),
        kind=AlertKind.CABLE_FAULT,
        severity=Severity.ERROR,
        state=AlertState.OPEN,
        message="The cable is broken.",
        installation_id=town.site.id,
        charger_id=town.charger_id,
        opened_at=NOW,
    )
    return row.id


async def _a_command(town: Town, session_id: UUID, driver: UUID) -> UUID:
    row = await Command.create(
        id=new_id(),
        installation_id=town.site.id,
        charger_id=town.charger_id,
        session_id=session_id,
        requested_by_id=driver,
        for_user_id=driver,
        action=CommandAction.START,
        state=CommandState.CONFIRMED,
        requested_at=NOW - timedelta(hours=1),
        deadline=NOW - timedelta(minutes=59),
        finished_at=NOW - timedelta(minutes=59),
    )
    return row.id


async def _an_export(person: UUID) -> UUID:
    row = await Export.create(
        user_id=person,
        kind=ReportKind.SUMMARY,
        format=ExportFormat.XLSX,
        state=ExportState.READY,
        parameters="{}",
        created_at=NOW,
    )
    return row.id
