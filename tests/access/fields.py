"""What each caller gets at every field that leads to another object: one row a field, from domain.md §2 and §4.

A cell is `seen` (something is there), `empty` (null, an empty list or connection, without an error) or `hidden` (what the
field is asked of is not there for the caller).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from domain.roles import Scope
from tests.factories import PEOPLE
from tests.gql.matrix import (
    ADMINISTRATOR,
    ALERT_HANDLERS,
    AUTHORIZERS,
    CALLERS,
    CARD_KEEPERS,
    CHARGER_OWNERS,
    DRIVER,
    ELSEWHERE,
    GRANTERS,
    GROUP_MANAGERS,
    INSTALLERS,
    MANAGERS,
    NOT_SIGNED_IN,
    OWNER,
    PROGRAM_ELSEWHERE,
    PROGRAMS,
    SEE_CIRCUITS,
    SEE_SESSION,
    SEE_SITE,
    SESSION_READERS,
    SITE_RULERS,
    TARIFF_MANAGERS,
    programs,
)

CHARGER_OWNER = frozenset({"OWNER of charger"})
DETAILED = MANAGERS | {"USER of installation"} | programs(Scope.READ_STATUS, Scope.SET_AVAILABLE_CURRENT)
SEE_CHARGER_DETAILS = SEE_CIRCUITS | CHARGER_OWNER
SEE_CURRENTS = SEE_SESSION | MANAGERS | programs(Scope.READ_STATUS)
SEE_GRANT = DRIVER | GRANTERS
SEE_GROUP = GROUP_MANAGERS | {"USER of installation"}
SEE_CARD = SEE_SESSION | ADMINISTRATOR | programs(Scope.MANAGE_CARDS)
SEE_ACCOUNT = SITE_RULERS | programs(Scope.READ_STATUS)
"""The account is that program's own."""
SEE_COMMAND = DRIVER | SEE_CHARGER_DETAILS
EVERYBODY = frozenset(CALLERS) - {NOT_SIGNED_IN}
PERSONS = EVERYBODY - frozenset(PROGRAMS) - {PROGRAM_ELSEWHERE}
NOBODY: frozenset[str] = frozenset()

SEEN_BY: Mapping[str, tuple[str, frozenset[str]]] = {
    "viewer": ("", EVERYBODY),
    "installation": ("Installation", SEE_SITE),
    "charger": ("Charger", SEE_SITE),
    "alert": ("Alert", ALERT_HANDLERS),
    "circuit alert": ("Alert", MANAGERS),
    "subscription": ("AlertSubscription", OWNER),
    "circuit": ("Circuit", SEE_CIRCUITS),
    "session": ("ChargeSession", SEE_SESSION),
    "corrected session": ("ChargeSession", SEE_SESSION),
    "card": ("ChargeCard", SEE_CARD),
    "permission": ("Permission", SEE_GRANT),
    "command": ("Command", SEE_COMMAND),
    "decision": ("BalancingDecision", SEE_CIRCUITS),
    "OCPP message": ("OcppMessage", INSTALLERS),
    "attempt": ("AuthorizationAttempt", SEE_SESSION),
    "enrollment": ("CardEnrollment", DRIVER | CARD_KEEPERS),
    "question": ("AuthorizationRequest", AUTHORIZERS),
    "group": ("UserGroup", SEE_GROUP),
    "service account": ("ServiceAccount", SEE_ACCOUNT),
    "tariff": ("Tariff", TARIFF_MANAGERS),
    "locked report": ("LockedReport", OWNER),
    "schedule": ("ReportSchedule", OWNER),
}
"""(type, who sees it) of the things that fields are asked of."""


@dataclass(frozen=True, slots=True)
class FieldRow:
    """`path` leads from the thing to the field, which has the alias `target`."""

    at: str
    path: str
    sees: frozenset[str]


_MARCH = '{from: "2026-03-01", to: "2026-04-01"}'


def _usage(path: str, group_by: str = "CHARGER", period: str = _MARCH) -> str:
    return f"usageSummary(period: {period}, groupBy: [{group_by}]) {{ {path} }}"


def _usage_row(path: str, group_by: str) -> str:
    return _usage(f"rows(first: 5) {{ nodes {{ {path} }} }}", group_by)


_ID = "{ id }"
_AMPS = "{ l1 }"
_PAGE = "(first: 50) { totalCount nodes { id } }"
_LINES = "correctionLines(first: 5)"
_UNCOUNTED = "(first: 50) { nodes { id } }"

FIELDS: Mapping[str, FieldRow] = {
    "Alert.installation": FieldRow("alert", f"target: installation {_ID}", ALERT_HANDLERS),
    "Alert.circuit": FieldRow("circuit alert", f"target: circuit {_ID}", MANAGERS),
    "Alert.charger": FieldRow("alert", f"target: charger {_ID}", ALERT_HANDLERS),
    "AlertSubscription.installation": FieldRow("subscription", f"target: installation {_ID}", OWNER),
    "AlertSubscription.chargers": FieldRow("subscription", f"target: chargers {_ID}", OWNER),
    "Allocation.charger": FieldRow("decision", f"allocations {{ target: charger {_ID} }}", SEE_CIRCUITS),
    "AllocationExplanation.bindingCircuit": FieldRow(
        "charger", f"allocation {{ target: bindingCircuit {_ID} }}", SEE_CIRCUITS
    ),
    "BalancingDecision.allocations": FieldRow("decision", "target: allocations { currentA }", SEE_CIRCUITS),
    "BalancingDecision.overloaded": FieldRow("decision", f"target: overloaded {_ID}", SEE_CIRCUITS),
    "ChargeCard.user": FieldRow("card", f"target: user {_ID}", SEE_CARD),
    "ChargeSession.installation": FieldRow("session", f"target: installation {_ID}", SEE_SESSION),
    "ChargeSession.charger": FieldRow("session", f"target: charger {_ID}", SEE_SESSION),
    "ChargeSession.user": FieldRow("session", f"target: user {_ID}", SEE_SESSION),
    "ChargeSession.chargeCard": FieldRow("session", f"target: chargeCard {_ID}", SEE_SESSION),
    "ChargeSession.replacedBy": FieldRow("corrected session", f"target: replacedBy {_ID}", SEE_SESSION),
    "ChargeSession.replaces": FieldRow("session", f"target: replaces {_ID}", SEE_SESSION),
    "ChargeSession.energyDetails": FieldRow("session", "target: energyDetails { energyKwh }", SEE_SESSION),
    "ChargeSession.signature": FieldRow("session", "target: signature { verdict }", SEE_SESSION),
    "Charger.meterKey": FieldRow("charger", "target: meterKey { isConfirmed }", SEE_CHARGER_DETAILS),
    "ChargeSession.cost": FieldRow("session", "target: cost { amount }", SEE_SESSION),
    "ChargeSession.costLines": FieldRow("session", "target: costLines { text }", SEE_SESSION),
    "CostLine.unitPrice": FieldRow("session", "costLines { target: unitPrice { amount } }", SEE_SESSION),
    "CostLine.amount": FieldRow("session", "costLines { target: amount { amount } }", SEE_SESSION),
    "CostLine.netAmount": FieldRow("session", "costLines { target: netAmount { amount } }", SEE_SESSION),
    "CostLine.vatAmount": FieldRow("session", "costLines { target: vatAmount { amount } }", SEE_SESSION),
    "Charger.installation": FieldRow("charger", f"target: installation {_ID}", SEE_SITE),
    "Charger.circuit": FieldRow("charger", f"target: circuit {_ID}", SEE_CIRCUITS),
    "Charger.status": FieldRow("charger", "target: status { mode }", SEE_SITE),
    "Charger.allocation": FieldRow("charger", "target: allocation { text }", SEE_CHARGER_DETAILS | SEE_SESSION),
    "Charger.activeSession": FieldRow("charger", f"target: activeSession {_ID}", SEE_SESSION),
    "Charger.sessions": FieldRow("charger", f"target: sessions{_PAGE}", SEE_SESSION),
    "Charger.commands": FieldRow("charger", f"target: commands{_UNCOUNTED}", SEE_COMMAND),
    "Charger.alerts": FieldRow("charger", f"target: alerts{_PAGE}", ALERT_HANDLERS),
    "Charger.ocppMessages": FieldRow("charger", f"target: ocppMessages{_UNCOUNTED}", INSTALLERS),
    "Charger.permissions": FieldRow("charger", f"target: permissions{_PAGE}", SEE_GRANT),
    "ChargerStatus.currentA": FieldRow("charger", f"status {{ target: currentA {_AMPS} }}", SEE_CURRENTS),
    "ChargerStatus.warnings": FieldRow("charger", "status { target: warnings { kind } }", SEE_SITE),
    "Circuit.installation": FieldRow("circuit", f"target: installation {_ID}", SEE_CIRCUITS),
    "Circuit.parent": FieldRow("circuit", f"target: parent {_ID}", SEE_CIRCUITS),
    "Circuit.breakerA": FieldRow("circuit", f"target: breakerA {_AMPS}", SEE_CIRCUITS),
    "Circuit.safeCurrentA": FieldRow("circuit", f"target: safeCurrentA {_AMPS}", SEE_CIRCUITS),
    "Circuit.assumedOtherLoadA": FieldRow("circuit", f"target: assumedOtherLoadA {_AMPS}", SEE_CIRCUITS),
    "Circuit.measuredA": FieldRow("circuit", f"target: measuredA {_AMPS}", SEE_CIRCUITS),
    "Circuit.otherLoadA": FieldRow("circuit", f"target: otherLoadA {_AMPS}", SEE_CIRCUITS),
    "Circuit.allocatedA": FieldRow("circuit", f"target: allocatedA {_AMPS}", SEE_CIRCUITS),
    "Circuit.chargers": FieldRow("circuit", f"target: chargers{_PAGE}", SEE_CIRCUITS),
    "AuthenticationSettings.external": FieldRow(
        "installation", "authentication { target: external { mode } }", SITE_RULERS
    ),
    "AuthorizationAttempt.charger": FieldRow("attempt", f"target: charger {_ID}", SEE_SESSION),
    "AuthorizationAttempt.session": FieldRow("attempt", f"target: session {_ID}", SEE_SESSION),
    "AuthorizationAttempt.user": FieldRow("attempt", f"target: user {_ID}", SEE_SESSION),
    "AuthorizationRequest.charger": FieldRow("question", f"target: charger {_ID}", AUTHORIZERS),
    "Charger.authorizationAttempts": FieldRow("charger", f"target: authorizationAttempts{_UNCOUNTED}", SEE_SESSION),
    "CardEnrollment.chargeCard": FieldRow("enrollment", f"target: chargeCard {_ID}", DRIVER | CARD_KEEPERS),
    "CardEnrollment.charger": FieldRow("enrollment", f"target: charger {_ID}", DRIVER | CARD_KEEPERS),
    "Installation.auditLog": FieldRow("installation", f"target: auditLog{_UNCOUNTED}", SITE_RULERS),
    "Installation.chargeCards": FieldRow("installation", f"target: chargeCards{_PAGE}", CARD_KEEPERS),
    "Charger.viewerVerdict": FieldRow("charger", "target: viewerVerdict { decision }", SEE_SITE),
    "Charger.whoCanCharge": FieldRow("charger", f"target: whoCanCharge{_PAGE}", GRANTERS),
    "ExternalAuthentication.shadow": FieldRow(
        "installation", "authentication { external { target: shadow { asked } } }", SITE_RULERS
    ),
    "Installation.authentication": FieldRow("installation", "target: authentication { isRequired }", SITE_RULERS),
    "Installation.authorizationAttempts": FieldRow(
        "installation", f"target: authorizationAttempts{_UNCOUNTED}", SEE_SESSION
    ),
    "Command.charger": FieldRow("command", f"target: charger {_ID}", SEE_COMMAND),
    "Command.session": FieldRow("command", f"target: session {_ID}", DRIVER | CHARGER_OWNERS),
    "Coverage.silentChargers": FieldRow(
        "installation", _usage("coverage { target: silentChargers { since } }"), SESSION_READERS
    ),
    "SilentCharger.charger": FieldRow(
        "installation", _usage(f"coverage {{ silentChargers {{ target: charger {_ID} }} }}"), SESSION_READERS
    ),
    "Installation.address": FieldRow("installation", "target: address { countryCode }", DETAILED),
    "Installation.availableCurrentA": FieldRow("installation", f"target: availableCurrentA {_AMPS}", DETAILED),
    "Installation.fallbackCurrentA": FieldRow("installation", f"target: fallbackCurrentA {_AMPS}", DETAILED),
    "Installation.currentSchedule": FieldRow("installation", "target: currentSchedule { from }", DETAILED),
    "ScheduleEntry.availableCurrentA": FieldRow(
        "installation", f"currentSchedule {{ target: availableCurrentA {_AMPS} }}", DETAILED
    ),
    "Installation.dashboard": FieldRow("installation", "target: dashboard { chargerCount }", MANAGERS),
    "Dashboard.installation": FieldRow("installation", f"dashboard {{ target: installation {_ID} }}", MANAGERS),
    "Dashboard.modes": FieldRow("installation", "dashboard { target: modes { count } }", MANAGERS),
    "Dashboard.phases": FieldRow("installation", "dashboard { target: phases { breakerA } }", MANAGERS),
    "Dashboard.queue": FieldRow("installation", "dashboard { target: queue { position } }", MANAGERS),
    "Dashboard.balancer": FieldRow("installation", "dashboard { target: balancer { state } }", MANAGERS),
    "QueueEntry.charger": FieldRow("installation", f"dashboard {{ queue {{ target: charger {_ID} }} }}", MANAGERS),
    "Installation.alerts": FieldRow("installation", f"target: alerts{_PAGE}", ALERT_HANDLERS),
    "Installation.circuits": FieldRow("installation", f"target: circuits {_ID}", SEE_CIRCUITS),
    "Installation.chargers": FieldRow("installation", f"target: chargers{_PAGE}", SEE_SITE),
    "Installation.sessions": FieldRow("installation", f"target: sessions{_PAGE}", SEE_SESSION),
    "Installation.usageSummary": FieldRow(
        "installation", f"target: usageSummary(period: {_MARCH}) {{ timeZone }}", SESSION_READERS
    ),
    "Installation.permissions": FieldRow(
        "installation",
        f"target: permissions{_PAGE}",
        (frozenset(PEOPLE) - {"stranger"}) | programs(Scope.MANAGE_PERMISSIONS),
    ),
    "Installation.userGroups": FieldRow("installation", f"target: userGroups {_ID}", SEE_GROUP),
    "Installation.serviceAccounts": FieldRow("installation", f"target: serviceAccounts {_ID}", SITE_RULERS),
    "Installation.lockedReports": FieldRow("installation", f"target: lockedReports{_PAGE}", OWNER),
    "LockedReport.installation": FieldRow("locked report", f"target: installation {_ID}", OWNER),
    "LockedReport.period": FieldRow("locked report", "target: period { from }", OWNER),
    "CorrectionLine.period": FieldRow("locked report", f"{_LINES} {{ nodes {{ target: period {{ from }} }} }}", OWNER),
    "CorrectionLine.row": FieldRow("locked report", f"{_LINES} {{ nodes {{ target: row {{ key }} }} }}", OWNER),
    "LockedReport.summary": FieldRow("locked report", "target: summary { basis }", OWNER),
    "LockedReport.total": FieldRow("locked report", "target: total { sessionCount }", OWNER),
    "LockedReport.correctionLines": FieldRow(
        "locked report", "target: correctionLines(first: 5) { totalCount nodes { row { key } } }", OWNER
    ),
    "LockedReport.correctionTotal": FieldRow("locked report", "target: correctionTotal { sessionCount }", OWNER),
    "LockedReport.corrections": FieldRow("locked report", f"target: corrections{_PAGE}", OWNER),
    "Installation.reportSchedules": FieldRow("installation", f"target: reportSchedules {_ID}", OWNER),
    "ReportSchedule.installation": FieldRow("schedule", f"target: installation {_ID}", OWNER),
    "ReportSchedule.deliveries": FieldRow("schedule", "target: deliveries { recipient }", OWNER),
    "ReportDelivery.period": FieldRow("schedule", "deliveries { target: period { from } }", OWNER),
    "Installation.tariffs": FieldRow("installation", f"target: tariffs {_ID}", TARIFF_MANAGERS),
    "Installation.decisions": FieldRow("installation", f"target: decisions{_UNCOUNTED}", SEE_CIRCUITS),
    "Permission.subject": FieldRow("permission", "target: subject { __typename }", SEE_GRANT),
    "Permission.object": FieldRow("permission", "target: object { __typename }", SEE_GRANT),
    "Usage.costs": FieldRow("installation", _usage("total { target: costs { amount } }"), SESSION_READERS),
    "UsageRow.installation": FieldRow(
        "installation", _usage_row(f"target: installation {_ID}", "INSTALLATION"), SESSION_READERS
    ),
    "UsageRow.circuit": FieldRow("installation", _usage_row(f"target: circuit {_ID}", "CIRCUIT"), OWNER),
    "UsageRow.charger": FieldRow("installation", _usage_row(f"target: charger {_ID}", "CHARGER"), SESSION_READERS),
    "UsageRow.user": FieldRow("installation", _usage_row(f"target: user {_ID}", "USER"), SESSION_READERS),
    "UsageRow.chargeCard": FieldRow(
        "installation", _usage_row(f"target: chargeCard {_ID}", "CHARGE_CARD"), SESSION_READERS
    ),
    "UsageRow.usage": FieldRow(
        "installation", _usage_row("target: usage { sessionCount }", "CHARGER"), SESSION_READERS
    ),
    "UsageSummary.period": FieldRow("installation", _usage("target: period { from }"), SESSION_READERS),
    "UsageSummary.total": FieldRow("installation", _usage("target: total { sessionCount }"), SESSION_READERS),
    "UsageSummary.coverage": FieldRow("installation", _usage("target: coverage { isComplete }"), SESSION_READERS),
    "UsageSummary.emptyBecause": FieldRow(
        "installation",
        _usage("target: emptyBecause { reason }", period='{from: "2020-03-01", to: "2020-04-01"}'),
        SESSION_READERS,
    ),
    "UsageSummary.rows": FieldRow("installation", _usage("target: rows(first: 5) { nodes { key } }"), SESSION_READERS),
    "ServiceAccount.installations": FieldRow("service account", f"target: installations {_ID}", SEE_ACCOUNT),
    "ServiceAccount.apiTokens": FieldRow("service account", f"target: apiTokens {_ID}", SEE_ACCOUNT),
    "Tariff.installation": FieldRow("tariff", f"target: installation {_ID}", TARIFF_MANAGERS),
    "Tariff.parts": FieldRow("tariff", "target: parts { unit }", TARIFF_MANAGERS),
    "Tariff.assignments": FieldRow("tariff", f"target: assignments {_ID}", TARIFF_MANAGERS),
    "TariffAssignment.group": FieldRow("tariff", f"assignments {{ target: group {_ID} }}", OWNER),
    "TariffAssignment.user": FieldRow("tariff", f"assignments {{ target: user {_ID} }}", OWNER),
    "UserGroup.installation": FieldRow("group", f"target: installation {_ID}", SEE_GROUP),
    "UserGroup.members": FieldRow("group", f"target: members{_PAGE}", GROUP_MANAGERS),
    "Viewer.serviceAccount": FieldRow("viewer", f"target: serviceAccount {_ID}", EVERYBODY - PERSONS),
    "Viewer.user": FieldRow("viewer", f"target: user {_ID}", PERSONS),
    "Viewer.permissions": FieldRow(
        "viewer", f"target: permissions{_PAGE}", frozenset(PEOPLE) - {"stranger", "ADMINISTRATOR"} | {ELSEWHERE}
    ),
    "Viewer.sessions": FieldRow("viewer", f"target: sessions{_PAGE}", DRIVER),
    "Viewer.usageSummary": FieldRow("viewer", f"target: usageSummary(period: {_MARCH}) {{ timeZone }}", PERSONS),
    "Viewer.chargeCards": FieldRow("viewer", f"target: chargeCards {_ID}", DRIVER),
    "Viewer.alertSubscriptions": FieldRow("viewer", f"target: alertSubscriptions {_ID}", OWNER),
    "Viewer.commands": FieldRow("viewer", f"target: commands{_UNCOUNTED}", DRIVER),
    "Viewer.exports": FieldRow("viewer", f"target: exports{_UNCOUNTED}", OWNER),
}
"""Every field that leads to another object, by `Type.field`."""
