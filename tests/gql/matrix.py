"""Who may ask and do what: one row for every root field and every mutation. A new one without a row fails a test.

People are those of `tests.factories.PEOPLE`, and `not signed in`; programs hold one scope each at the site. Adding a field: add its row
here, from domain.md §2 and §4.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from domain.ids import new_id
from domain.models import (
    ChargeCard,
    ChargerStatus,
    Export,
    ExternalAuthentication,
    ExternalUser,
    Permission,
    ServiceAccount,
    SessionEvent,
    UnknownCharger,
    User,
)
from domain.reporting.report_schedules import ScheduleWish, create_report_schedule
from domain.roles import (
    ExportFormat,
    ExternalMode,
    OperatingMode,
    ReportKind,
    Role,
    Scope,
    SessionEventKind,
    SessionState,
)
from gql.ids import global_id
from tests.factories import (
    NOW,
    PEOPLE,
    Town,
    a_card,
    a_circuit,
    a_grant,
    a_group,
    a_person,
    a_program,
    a_question,
    a_session,
    a_subscription,
    a_tariff,
    a_tariff_assignment,
    an_alert,
)
from tests.gql.asking import TOKENS, charger_id, circuit_id, installation_id, permission_id, user_id

NOT_SIGNED_IN = "not signed in"
EVERYONE = (*PEOPLE, NOT_SIGNED_IN)
ELSEWHERE = "every role elsewhere"
FORMER = "former OWNER"
"""Whose grants ended yesterday."""
PROGRAM_ELSEWHERE = "program elsewhere"
PROGRAMS = tuple(f"program {scope}" for scope in Scope)
CALLERS = (NOT_SIGNED_IN, *PEOPLE, ELSEWHERE, FORMER, *PROGRAMS, PROGRAM_ELSEWHERE)
"""The columns of the access matrix."""


def programs(*scopes: Scope) -> frozenset[str]:
    """The programs that hold one of these scopes at the site."""
    return frozenset(f"program {scope}" for scope in scopes)


ALL_PROGRAMS = frozenset(PROGRAMS)
ADMINISTRATOR = frozenset({"ADMINISTRATOR"})
INSTALLERS = ADMINISTRATOR | {"SERVICE"}
OWNER = frozenset({"OWNER of installation"})
MANAGERS = INSTALLERS | OWNER
CONTROLLERS = MANAGERS | programs(Scope.CONTROL_CHARGING)
CURRENT_SETTERS = MANAGERS | programs(Scope.SET_AVAILABLE_CURRENT)
CHARGER_OWNERS = OWNER | {"OWNER of charger"}
ALERT_HANDLERS = MANAGERS | CHARGER_OWNERS
DRIVER = frozenset({"USER of charger"})
"""Whose charges there are."""
SESSION_READERS = OWNER | programs(Scope.READ_SESSIONS)
TARIFF_MANAGERS = OWNER | programs(Scope.MANAGE_TARIFFS)
AUTHORIZERS = programs(Scope.AUTHORIZE_CHARGING)
CARD_KEEPERS = OWNER | ADMINISTRATOR | programs(Scope.MANAGE_CARDS)
PEOPLE_KEEPERS = programs(Scope.MANAGE_CARDS, Scope.MANAGE_PERMISSIONS)
EVERYBODY = frozenset(PEOPLE) | ALL_PROGRAMS
SEE_DRIVER = DRIVER | CHARGER_OWNERS | CARD_KEEPERS | programs(Scope.MANAGE_PERMISSIONS)
"""Who knows whose charges there are by address."""
SEE_SESSION = DRIVER | CHARGER_OWNERS | SESSION_READERS
SITE_RULERS = OWNER | ADMINISTRATOR
GROUP_MANAGERS = SITE_RULERS | programs(Scope.MANAGE_PERMISSIONS)
GRANTERS = GROUP_MANAGERS | CHARGER_OWNERS
MEMBER = frozenset({"SERVICE"})
"""Who is in the group at the site, which holds nothing."""
SEE_SITE = (frozenset(PEOPLE) - {"stranger"}) | ALL_PROGRAMS
SEE_CIRCUITS = MANAGERS | programs(Scope.READ_STATUS, Scope.SET_AVAILABLE_CURRENT)
SIGNED_IN = frozenset(PEOPLE) | ALL_PROGRAMS

Input = Callable[[Town], Awaitable[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class MutationRow:
    """Who may do it; who is told NOT_ALLOWED because they see the thing. All others: NOT_FOUND, as if there were none."""

    given: Input
    allowed: frozenset[str]
    seen: frozenset[str] = field(default=SEE_SITE)
    needs_sign_in: bool = True
    is_audited: bool = True
    is_for_people: bool = False
    """Programs are told NOT_ALLOWED whatever they can see."""
    is_placeless: bool = False
    """Programs do it by their scopes, at whatever installation they hold them."""
    refused_code: str | None = None
    """What everyone gets who comes with this input, where it is not about rights."""


async def _create_installation(_town: Town) -> Mapping[str, Any]:
    return {
        "name": "New",
        "address": {"countryCode": "NO"},
        "timeZone": "Europe/Oslo",
        "currency": "NOK",
        "category": "PRIVATE",
        "networkType": "TN_3_PHASE",
        "mainBreakerA": 25,
    }


_EVEN = {"l1": 16.0, "l2": 16.0, "l3": 16.0}


async def _update_installation(town: Town) -> Mapping[str, Any]:
    return {"installationId": installation_id(town.site.id), "name": "Renamed"}


async def _set_available_current(town: Town) -> Mapping[str, Any]:
    return {"installationId": installation_id(town.site.id), "availableCurrentA": _EVEN}


async def _set_schedule(town: Town) -> Mapping[str, Any]:
    entry = {"weekdays": ["MONDAY"], "from": "06:00", "to": "00:00", "availableCurrentA": _EVEN}
    return {"installationId": installation_id(town.site.id), "entries": [entry]}


async def _clear_available_current(town: Town) -> Mapping[str, Any]:
    return {"installationId": installation_id(town.site.id)}


async def _create_circuit(town: Town) -> Mapping[str, Any]:
    return {"installationId": installation_id(town.site.id), "name": "B", "breakerA": _EVEN}


async def _update_circuit(town: Town) -> Mapping[str, Any]:
    return {"circuitId": circuit_id(town.site.root_id), "name": "Renamed"}


async def _report_meter(town: Town) -> Mapping[str, Any]:
    return {"circuitId": circuit_id(town.site.root_id), "currentA": _EVEN}


async def _remove_circuit(town: Town) -> Mapping[str, Any]:
    return {"id": circuit_id(await a_circuit(town.site.id, parent_id=town.site.root_id))}


async def _add_charger(town: Town) -> Mapping[str, Any]:
    return {"circuitId": circuit_id(town.site.root_id), "name": "New", "identity": f"NEW-{town.site.id}"}


async def _adopt_charger(town: Town) -> Mapping[str, Any]:
    await UnknownCharger.create(identity="NEW", first_seen_at=NOW, last_seen_at=NOW, address="192.0.2.7")
    return {"circuitId": circuit_id(town.site.root_id), "name": "New", "identity": "NEW"}


async def _update_charger(town: Town) -> Mapping[str, Any]:
    return {"chargerId": charger_id(town.charger_id), "name": "Renamed"}


async def _rotate(town: Town) -> Mapping[str, Any]:
    return {"chargerId": charger_id(town.charger_id)}


METER_KEY = (
    ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
)


async def _confirm_key(town: Town) -> Mapping[str, Any]:
    return {"chargerId": charger_id(town.charger_id), "publicKey": METER_KEY.hex()}


async def _move(town: Town) -> Mapping[str, Any]:
    branch = await a_circuit(town.site.id, parent_id=town.site.root_id)
    return {"chargerId": charger_id(town.charger_id), "circuitId": circuit_id(branch)}


async def _remove_charger(town: Town) -> Mapping[str, Any]:
    return {"id": charger_id(town.charger_id)}


async def _acknowledge(town: Town) -> Mapping[str, Any]:
    alert = await an_alert(town.site.id, town.charger_id)
    return {"alertId": global_id("Alert", alert), "note": "An electrician comes."}


async def _subscribe(town: Town) -> Mapping[str, Any]:
    return {"installationId": installation_id(town.site.id), "email": "janitor@example.com"}


async def _update_subscription(town: Town) -> Mapping[str, Any]:
    found = await a_subscription(town.site.id, town.people["OWNER of installation"])
    return {"alertSubscriptionId": global_id("AlertSubscription", found), "digestHour": 9}


async def _unsubscribe(town: Town) -> Mapping[str, Any]:
    found = await a_subscription(town.site.id, town.people["OWNER of installation"])
    return {"id": global_id("AlertSubscription", found)}


async def _grant(town: Town) -> Mapping[str, Any]:
    return {"subject": {"email": "new@example.com"}, "objectId": charger_id(town.charger_id), "role": "USER"}


async def _revoke(town: Town) -> Mapping[str, Any]:
    invited = await a_grant(Role.USER, town.site, email="new@example.com", charger_id=town.charger_id)
    return {"permissionId": permission_id(invited)}


async def _import_permissions(town: Town) -> Mapping[str, Any]:
    return {
        "installationId": installation_id(town.site.id),
        "csv": "email,charger,role\nnew@example.com,Space 1,USER\n",
        "dryRun": False,
    }


async def _create_group(town: Town) -> Mapping[str, Any]:
    return {"installationId": installation_id(town.site.id), "name": "Second floor"}


async def _add_member(town: Town) -> Mapping[str, Any]:
    group = await a_group(town.site, *(town.people[name] for name in MEMBER))
    return {"groupId": global_id("UserGroup", group), "person": {"userId": user_id(town.people["USER of charger"])}}


async def _remove_member(town: Town) -> Mapping[str, Any]:
    person = town.people["USER of charger"]
    group = await a_group(town.site, person, *(town.people[name] for name in MEMBER))
    return {"groupId": global_id("UserGroup", group), "person": {"userId": user_id(person)}}


async def _create_account(town: Town) -> Mapping[str, Any]:
    return {"name": "Access", "installationIds": [installation_id(town.site.id)], "scopes": ["READ_STATUS"]}


async def _create_token(town: Town) -> Mapping[str, Any]:
    return {"serviceAccountId": global_id("ServiceAccount", (await a_program(town.site)).id), "name": "Production"}


async def _revoke_token(town: Town) -> Mapping[str, Any]:
    return {"apiTokenId": global_id("ApiToken", (await a_program(town.site)).token_id)}


async def _remove_account(town: Town) -> Mapping[str, Any]:
    return {"id": global_id("ServiceAccount", (await a_program(town.site)).id)}


async def _register_card(_town: Town) -> Mapping[str, Any]:
    return {"number": uuid4().hex[:16]}


async def _command(town: Town) -> Mapping[str, Any]:
    await ChargerStatus.all().update(is_online=True, mode=OperatingMode.AWAITING_AUTHORIZATION)
    return {"chargerId": charger_id(town.charger_id)}


async def _file_command(town: Town) -> Mapping[str, Any]:
    return {**await _command(town), "url": "https://vendor.example/firmware"}


async def _charge(town: Town) -> Mapping[str, Any]:
    await a_session(town.site, town.charger_id, user_id=new_id(), state=SessionState.ACTIVE)
    return await _command(town)


async def _priority(town: Town) -> Mapping[str, Any]:
    session = await a_session(town.site, town.charger_id, user_id=new_id(), state=SessionState.ACTIVE)
    return {"sessionId": global_id("ChargeSession", session), "priority": 1}


_MARCH = {"from": "2026-03-01", "to": "2026-04-01"}


async def _create_export(town: Town) -> Mapping[str, Any]:
    return {"source": {"usage": {"installationIds": [installation_id(town.site.id)], "period": _MARCH}}}


async def _cancel_export(town: Town) -> Mapping[str, Any]:
    export = await Export.create(
        user_id=town.people["OWNER of installation"],
        kind=ReportKind.SUMMARY,
        format=ExportFormat.XLSX,
        parameters="{}",
        created_at=NOW,
    )
    return {"exportId": global_id("Export", export.id)}


async def _lock_report(town: Town) -> Mapping[str, Any]:
    return {"installationId": installation_id(town.site.id), "period": {"from": "2026-01-01", "to": "2026-02-01"}}


async def _create_schedule(town: Town) -> Mapping[str, Any]:
    return {"installationId": installation_id(town.site.id), "recipients": ["manager@example.com"]}


async def _remove_schedule(town: Town) -> Mapping[str, Any]:
    owner = await town.access("OWNER of installation")
    wish = ScheduleWish(recipients=("manager@example.com",))
    return {"id": global_id("ReportSchedule", await create_report_schedule(owner, town.site.id, wish))}


_FLAT = {"unit": "KWH", "price": "1.25"}


async def _set_tariff(town: Town) -> Mapping[str, Any]:
    return {"installationId": installation_id(town.site.id), "name": "Standard", "parts": [_FLAT]}


async def _assign_tariff(town: Town) -> Mapping[str, Any]:
    return {"tariffId": global_id("Tariff", await a_tariff(town.site)), "validFrom": "2026-01-01"}


async def _unassign_tariff(town: Town) -> Mapping[str, Any]:
    assignment = await a_tariff_assignment(town.site, await a_tariff(town.site))
    return {"id": global_id("TariffAssignment", assignment)}


async def _import_prices(town: Town) -> Mapping[str, Any]:
    hour = {"startAt": "2026-03-01T00:00:00Z", "endAt": "2026-03-01T01:00:00Z", "pricePerKwh": "0.9"}
    return {"tariffId": global_id("Tariff", await a_tariff(town.site)), "prices": [hour]}


async def _sign_in(_town: Town) -> Mapping[str, Any]:
    return {"email": "nobody@example.com", "password": "wrong"}


async def _refresh(_town: Town) -> Mapping[str, Any]:
    return {"refreshToken": "none"}


async def _open_id(_town: Town) -> Mapping[str, Any]:
    return {"idToken": "none"}


async def _sign_up(_town: Town) -> Mapping[str, Any]:
    return {"name": "New", "email": "new@example.com", "password": "nine copper wires"}


async def _change_password(town: Town) -> Mapping[str, Any]:
    await User.all().update(password_hash="plain:nine copper wires")
    return {"currentPassword": "nine copper wires", "newPassword": "ten copper wires"}


async def _request_reset(_town: Town) -> Mapping[str, Any]:
    return {"email": "nobody@example.com"}


async def _reset(_town: Town) -> Mapping[str, Any]:
    return {"token": "none", "newPassword": "ten copper wires"}


async def _token(_town: Town) -> Mapping[str, Any]:
    return {"token": "none"}


async def _accept(town: Town) -> Mapping[str, Any]:
    invited = await a_grant(Role.USER, town.site, email="new@example.com", charger_id=town.charger_id)
    await Permission.filter(id=invited).update(invitation_digest=TOKENS.digest("a code"))
    return {"token": "a code"}


async def _totp(_town: Town) -> Mapping[str, Any]:
    return {}


async def _confirm_totp(_town: Town) -> Mapping[str, Any]:
    return {"code": "000000"}


async def _erase(town: Town) -> Mapping[str, Any]:
    person = await a_person("Nora")
    await a_grant(Role.USER, town.site, user_id=person, charger_id=town.charger_id)
    await a_session(town.site, town.charger_id, user_id=person)
    return {"userId": global_id("User", person)}


async def _remove_totp(_town: Town) -> Mapping[str, Any]:
    await User.all().update(password_hash="plain:nine copper wires")
    return {"password": "nine copper wires"}


async def _sign_out(_town: Town) -> Mapping[str, Any]:
    return {}


async def _driver_card(town: Town) -> UUID:
    return await a_card(town.people["USER of charger"], number=uuid4().hex[:16].upper())


async def _upsert_card(town: Town) -> Mapping[str, Any]:
    driver = global_id("User", town.people["USER of charger"])
    return {"externalId": "card-1", "number": uuid4().hex[:16], "person": {"userId": driver}}


async def _rename_card(town: Town) -> Mapping[str, Any]:
    return {"chargeCardId": global_id("ChargeCard", await _driver_card(town)), "name": "Renamed"}


async def _block_card(town: Town) -> Mapping[str, Any]:
    return {"chargeCardId": global_id("ChargeCard", await _driver_card(town))}


async def _unblock_card(town: Town) -> Mapping[str, Any]:
    given = await _block_card(town)
    await ChargeCard.all().update(is_blocked=True)
    return given


async def _block_card_here(town: Town) -> Mapping[str, Any]:
    return {**await _block_card(town), "installationId": installation_id(town.site.id)}


async def _remove_card(town: Town) -> Mapping[str, Any]:
    return {"id": global_id("ChargeCard", await _driver_card(town))}


async def _import_cards(town: Town) -> Mapping[str, Any]:
    address = (await User.get(id=town.people["USER of charger"])).email
    table = f"email,number\n{address},{uuid4().hex[:16]}"
    return {"installationId": installation_id(town.site.id), "csv": table, "dryRun": False}


async def _enroll(town: Town) -> Mapping[str, Any]:
    return await _command(town)


async def _upsert_external(_town: Town) -> Mapping[str, Any]:
    return {"externalId": "guest-1", "name": "Ada Guest"}


async def _remove_external(town: Town) -> Mapping[str, Any]:
    for account in await ServiceAccount.all():
        await ExternalUser.create(
            account_id=account.id, external_id="guest-1", user_id=town.people["stranger"], created_at=NOW
        )
    return {"externalId": "guest-1"}


async def _set_authentication(town: Town) -> Mapping[str, Any]:
    return {"installationId": installation_id(town.site.id), "allowsConcurrent": True}


async def _configure(town: Town) -> Mapping[str, Any]:
    return {"installationId": installation_id(town.site.id), "failPolicy": "ALLOW_KNOWN"}


async def _preflight(town: Town) -> Mapping[str, Any]:
    return {"installationId": installation_id(town.site.id)}


async def _answer(town: Town) -> Mapping[str, Any]:
    question = await a_question(town.site, town.charger_id)
    return {"requestId": global_id("AuthorizationRequest", question), "decision": "ACCEPTED"}


async def _authorize(town: Town) -> Mapping[str, Any]:
    driver = town.people["USER of charger"]
    for account in await ServiceAccount.all():
        await ExternalUser.create(account_id=account.id, external_id="driver", user_id=driver, created_at=NOW)
    return {**await _command(town), "person": {"userId": global_id("User", driver)}}


async def _replay(town: Town) -> Mapping[str, Any]:
    system = ExternalAuthentication(
        installation_id=town.site.id, mode=ExternalMode.SHADOW, url="https://system.example/"
    )
    await ExternalAuthentication.bulk_create([system])
    event = await SessionEvent.create(
        installation_id=town.site.id,
        session_id=new_id(),
        kind=SessionEventKind.STARTED,
        payload="{}",
        created_at=NOW,
        due_at=NOW,
        delivered_at=NOW,
    )
    return {"installationId": installation_id(town.site.id), "fromEventId": str(event.event_id)}


_ANYONE = frozenset(EVERYONE)

MUTATIONS: Mapping[str, MutationRow] = {
    "signIn": MutationRow(_sign_in, _ANYONE, needs_sign_in=False, is_audited=False, refused_code="WRONG_CREDENTIALS"),
    "refreshSignIn": MutationRow(
        _refresh, _ANYONE, needs_sign_in=False, is_audited=False, refused_code="TOKEN_EXPIRED"
    ),
    "signOut": MutationRow(_sign_out, frozenset(PEOPLE), is_audited=False, is_for_people=True),
    "signInWithOpenId": MutationRow(
        _open_id, _ANYONE, needs_sign_in=False, is_audited=False, refused_code="UNAVAILABLE"
    ),
    "signUp": MutationRow(_sign_up, _ANYONE, needs_sign_in=False, is_audited=False, refused_code="INVALID"),
    "changePassword": MutationRow(_change_password, frozenset(PEOPLE), is_for_people=True),
    "requestPasswordReset": MutationRow(
        _request_reset, _ANYONE | ALL_PROGRAMS, needs_sign_in=False, is_audited=False, is_placeless=True
    ),
    "resetPassword": MutationRow(_reset, _ANYONE, needs_sign_in=False, is_audited=False, refused_code="TOKEN_EXPIRED"),
    "verifyEmail": MutationRow(_token, frozenset(), seen=frozenset(), is_for_people=True, refused_code="TOKEN_EXPIRED"),
    "acceptInvitation": MutationRow(_accept, frozenset(PEOPLE), is_for_people=True),
    "setUpTotp": MutationRow(_totp, frozenset(PEOPLE), is_for_people=True),
    "confirmTotp": MutationRow(
        _confirm_totp, frozenset(), seen=frozenset(), is_for_people=True, refused_code="WRONG_CREDENTIALS"
    ),
    "removeTotp": MutationRow(_remove_totp, frozenset(PEOPLE), is_for_people=True),
    "erasePerson": MutationRow(_erase, ADMINISTRATOR, seen=(SEE_DRIVER - DRIVER) | programs(Scope.READ_SESSIONS)),
    "exportMyData": MutationRow(_totp, frozenset(PEOPLE), is_for_people=True),
    "createInstallation": MutationRow(_create_installation, ADMINISTRATOR, seen=frozenset(PEOPLE), is_for_people=True),
    "updateInstallation": MutationRow(_update_installation, MANAGERS),
    "setAvailableCurrent": MutationRow(_set_available_current, CURRENT_SETTERS),
    "setCurrentSchedule": MutationRow(_set_schedule, CURRENT_SETTERS),
    "clearAvailableCurrent": MutationRow(_clear_available_current, CURRENT_SETTERS),
    "createCircuit": MutationRow(_create_circuit, INSTALLERS),
    "updateCircuit": MutationRow(_update_circuit, INSTALLERS, seen=SEE_CIRCUITS),
    "reportMeter": MutationRow(_report_meter, CURRENT_SETTERS, seen=SEE_CIRCUITS),
    "removeCircuit": MutationRow(_remove_circuit, INSTALLERS, seen=SEE_CIRCUITS),
    "addCharger": MutationRow(_add_charger, INSTALLERS, seen=SEE_CIRCUITS),
    "adoptCharger": MutationRow(_adopt_charger, INSTALLERS, seen=SEE_CIRCUITS),
    "updateCharger": MutationRow(_update_charger, MANAGERS | CHARGER_OWNERS),
    "rotateChargerPassword": MutationRow(_rotate, INSTALLERS),
    "confirmMeterKey": MutationRow(_confirm_key, INSTALLERS),
    "moveCharger": MutationRow(_move, INSTALLERS),
    "removeCharger": MutationRow(_remove_charger, INSTALLERS),
    "grantPermission": MutationRow(_grant, GRANTERS),
    "revokePermission": MutationRow(_revoke, GRANTERS, seen=GRANTERS),
    "importPermissions": MutationRow(_import_permissions, GROUP_MANAGERS),
    "createUserGroup": MutationRow(_create_group, GROUP_MANAGERS),
    "addGroupMember": MutationRow(_add_member, GROUP_MANAGERS, seen=GROUP_MANAGERS | MEMBER),
    "removeGroupMember": MutationRow(_remove_member, GROUP_MANAGERS, seen=GROUP_MANAGERS | MEMBER | DRIVER),
    "removeServiceAccount": MutationRow(_remove_account, SITE_RULERS, seen=SITE_RULERS),
    "registerChargeCard": MutationRow(_register_card, frozenset(PEOPLE), is_for_people=True),
    "createServiceAccount": MutationRow(_create_account, SITE_RULERS),
    "createApiToken": MutationRow(_create_token, SITE_RULERS, seen=SITE_RULERS),
    "revokeApiToken": MutationRow(_revoke_token, SITE_RULERS, seen=SITE_RULERS),
    "startCharging": MutationRow(_command, CHARGER_OWNERS | {"USER of charger", "USER of installation"}),
    "pauseCharging": MutationRow(_charge, CONTROLLERS | CHARGER_OWNERS),
    "resumeCharging": MutationRow(_charge, CONTROLLERS | CHARGER_OWNERS),
    "stopCharging": MutationRow(_charge, CONTROLLERS | CHARGER_OWNERS),
    "restartCharger": MutationRow(_command, CONTROLLERS | CHARGER_OWNERS),
    "updateFirmware": MutationRow(_file_command, INSTALLERS),
    "requestDiagnostics": MutationRow(_file_command, INSTALLERS),
    "unlockConnector": MutationRow(_command, CONTROLLERS | CHARGER_OWNERS),
    "setSessionPriority": MutationRow(_priority, OWNER, seen=CHARGER_OWNERS | SESSION_READERS),
    "upsertChargeCard": MutationRow(_upsert_card, CARD_KEEPERS | DRIVER, seen=SEE_DRIVER),
    "renameChargeCard": MutationRow(_rename_card, DRIVER | ADMINISTRATOR, seen=CARD_KEEPERS),
    "blockChargeCard": MutationRow(_block_card_here, CARD_KEEPERS, seen=CARD_KEEPERS | DRIVER),
    "unblockChargeCard": MutationRow(_unblock_card, DRIVER | ADMINISTRATOR, seen=CARD_KEEPERS),
    "removeChargeCard": MutationRow(_remove_card, DRIVER | ADMINISTRATOR, seen=CARD_KEEPERS),
    "importChargeCards": MutationRow(_import_cards, CARD_KEEPERS),
    "startCardEnrollment": MutationRow(_enroll, CHARGER_OWNERS | {"USER of charger", "USER of installation"}),
    "upsertExternalUser": MutationRow(_upsert_external, PEOPLE_KEEPERS, seen=EVERYBODY, is_placeless=True),
    "removeExternalUser": MutationRow(_remove_external, PEOPLE_KEEPERS, seen=EVERYBODY, is_placeless=True),
    "acknowledgeAlert": MutationRow(_acknowledge, ALERT_HANDLERS, seen=ALERT_HANDLERS),
    "subscribeToAlerts": MutationRow(_subscribe, ALERT_HANDLERS, is_for_people=True),
    "updateAlertSubscription": MutationRow(_update_subscription, OWNER, seen=OWNER, is_for_people=True),
    "unsubscribeFromAlerts": MutationRow(_unsubscribe, OWNER, seen=OWNER, is_for_people=True),
    "setAuthentication": MutationRow(_set_authentication, SITE_RULERS),
    "configureExternalAuthentication": MutationRow(_configure, SITE_RULERS),
    "testExternalAuthentication": MutationRow(_preflight, SITE_RULERS),
    "answerAuthorizationRequest": MutationRow(_answer, AUTHORIZERS, seen=AUTHORIZERS, is_audited=False),
    "authorizeCharging": MutationRow(_authorize, CHARGER_OWNERS | AUTHORIZERS),
    "replaySessionEvents": MutationRow(_replay, SITE_RULERS | AUTHORIZERS),
    "lockReport": MutationRow(_lock_report, OWNER),
    "createReportSchedule": MutationRow(_create_schedule, OWNER),
    "removeReportSchedule": MutationRow(_remove_schedule, OWNER, seen=OWNER),
    "setTariff": MutationRow(_set_tariff, TARIFF_MANAGERS),
    "assignTariff": MutationRow(_assign_tariff, TARIFF_MANAGERS, seen=TARIFF_MANAGERS),
    "removeTariffAssignment": MutationRow(_unassign_tariff, TARIFF_MANAGERS, seen=TARIFF_MANAGERS),
    "importPrices": MutationRow(_import_prices, TARIFF_MANAGERS, seen=TARIFF_MANAGERS),
    "createExport": MutationRow(_create_export, OWNER, seen=OWNER, is_audited=False, is_for_people=True),
    "cancelExport": MutationRow(_cancel_export, OWNER, seen=OWNER, is_audited=False, is_for_people=True),
}
"""Every mutation, with an input that would change something."""

Expected = Callable[[Town, str], Any]


@dataclass(frozen=True, slots=True)
class QueryRow:
    """A selection of the root field and what each person gets for it; an error (NOT_FOUND, beside null) for `refused` only."""

    selection: str
    expected: Expected
    refused: frozenset[str] = frozenset()


def _sites(_town: Town, person: str) -> list[str]:
    if person == "ADMINISTRATOR":
        return ["Elsewhere", "Fjordveien garage"]
    if person in (ELSEWHERE, PROGRAM_ELSEWHERE):
        return ["Elsewhere"]
    return ["Fjordveien garage"] if person in SEE_SITE else []


def _chargers(_town: Town, person: str) -> list[str]:
    if person == "ADMINISTRATOR":
        return ["Hidden", "Space 1", "Space 2"]
    if person in (ELSEWHERE, PROGRAM_ELSEWHERE):
        return ["Hidden"]
    whole = person in {"USER of installation", "OWNER of installation", "SERVICE", *PROGRAMS}
    return ["Space 1", "Space 2"] if whole else ["Space 1"] if person in SEE_SITE else []


def _page(names: list[str]) -> dict[str, Any]:
    return {"totalCount": len(names), "nodes": [{"name": name} for name in names]}


def _sessions(count: int) -> dict[str, Any]:
    return {"totalCount": count, "nodes": [{"chargerName": "Space 1"}] * count}


def _simulated() -> dict[str, Any]:
    names = ["Space 1", "Space 2"]
    return {"allocations": [{"charger": {"name": name}} for name in names], "overloaded": [{"name": "Circuit A"}]}


def _user(person: str) -> dict[str, str] | None:
    return None if person in (*PROGRAMS, PROGRAM_ELSEWHERE) else {"name": person}


_PAGE = "(first: 10) { totalCount nodes { name } }"
KNOCKS = "KNOCKS"
"""The identity of a charger that nobody has added."""

QUERIES: Mapping[str, QueryRow] = {
    "viewer": QueryRow(
        "viewer { user { name } }",
        lambda _town, person: None if person == NOT_SIGNED_IN else {"user": _user(person)},
    ),
    "installations": QueryRow(f"installations{_PAGE}", lambda town, person: _page(_sites(town, person))),
    "chargers": QueryRow(f"chargers{_PAGE}", lambda town, person: _page(_chargers(town, person))),
    "unknownChargers": QueryRow(
        "unknownChargers(first: 10) { totalCount nodes { identity address } }",
        lambda _town, person: {
            "totalCount": int(person == "ADMINISTRATOR"),
            "nodes": [{"identity": KNOCKS, "address": "192.0.2.7"}] if person == "ADMINISTRATOR" else [],
        },
    ),
    "unknownCharger": QueryRow(
        f'unknownCharger(identity: "{KNOCKS}") {{ identity address }}',
        lambda _town, person: (
            {"identity": KNOCKS, "address": "192.0.2.7" if person == "ADMINISTRATOR" else None}
            if person in INSTALLERS | {ELSEWHERE}
            else None
        ),
    ),
    "node": QueryRow(
        "node(id: $id) { ... on Charger { name } }",
        lambda _town, person: {"name": "Space 1"} if person in SEE_SITE else None,
    ),
    "nodes": QueryRow(
        "nodes(ids: [$id, $hidden]) { ... on Charger { name } }",
        lambda _town, person: [
            {"name": "Space 1"} if person in SEE_SITE else None,
            {"name": "Hidden"} if person in ("ADMINISTRATOR", ELSEWHERE, PROGRAM_ELSEWHERE) else None,
        ],
    ),
    "sessions": QueryRow(
        "sessions(first: 10) { totalCount nodes { chargerName } }",
        # Two that a report has locked are nobody's.
        lambda _town, person: _sessions(3 if person in DRIVER else 5 if person in SEE_SESSION else 0),
    ),
    "usageSummary": QueryRow(
        'usageSummary(input: { installationIds: [$site], period: { from: "2026-03-01", to: "2026-04-01" } }) '
        "{ total { sessionCount } }",
        lambda _town, person: {"total": {"sessionCount": 1}} if person in SESSION_READERS else None,
        refused=frozenset(CALLERS) - SESSION_READERS,
    ),
    "simulateBalancing": QueryRow(
        "simulateBalancing(input: { installationId: $site }) { allocations { charger { name } } overloaded { name } }",
        lambda _town, person: _simulated() if person in CURRENT_SETTERS else None,
        refused=frozenset(CALLERS) - CURRENT_SETTERS,
    ),
    "rateLimit": QueryRow("rateLimit { limit }", lambda _town, _person: {"limit": 100_000}),
}
"""Every root field of Query."""
