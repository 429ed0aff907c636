"""Who may follow what: one row for every subscription, from domain.md §2 and §4."""

from collections.abc import Mapping
from dataclasses import dataclass

from tests.access.fields import EVERYBODY, NOBODY, SEE_COMMAND
from tests.gql.matrix import ALERT_HANDLERS, AUTHORIZERS, CARD_KEEPERS, DRIVER, MANAGERS, OWNER, SEE_SESSION, SEE_SITE


@dataclass(frozen=True, slots=True)
class StreamRow:
    """A subscription to `at` ($id). `follows`: whose stream begins; all others are told NOT_FOUND (not signed in: UNAUTHENTICATED
    where `needs_sign_in`). `hears`: to whom the first events show something, at the alias `target`.
    """

    at: str
    selection: str
    follows: frozenset[str]
    hears: frozenset[str]
    needs_sign_in: bool = False
    kind: str = ""


STREAMS: Mapping[str, StreamRow] = {
    "chargerStatus": StreamRow(
        "charger",
        "chargerStatus(target: {chargerId: $id}) { kind target: charger { status { mode } } }",
        SEE_SITE,
        SEE_SITE,
        kind="Charger",
    ),
    "sessionChanged": StreamRow(
        "charger",
        "sessionChanged(target: {chargerId: $id}) { kind target: session { id } }",
        SEE_SITE,
        SEE_SESSION,
        kind="Charger",
    ),
    "alertChanged": StreamRow(
        "charger",
        "alertChanged(target: {chargerId: $id}) { kind target: alert { id } }",
        SEE_SITE,
        ALERT_HANDLERS,
        kind="Charger",
    ),
    "dashboard": StreamRow(
        "installation",
        "target: dashboard(installationId: $id) { chargerCount }",
        MANAGERS,
        MANAGERS,
        kind="Installation",
    ),
    "commandChanged": StreamRow(
        "command", "target: commandChanged(commandId: $id) { state }", SEE_COMMAND, SEE_COMMAND, kind="Command"
    ),
    "exportChanged": StreamRow("export", "target: exportChanged(exportId: $id) { state }", OWNER, OWNER, kind="Export"),
    "authorizationRequested": StreamRow(
        "installation",
        "target: authorizationRequested(installationId: $id) { credential }",
        AUTHORIZERS,
        AUTHORIZERS,
        needs_sign_in=True,
        kind="Installation",
    ),
    "cardEnrollmentChanged": StreamRow(
        "enrollment",
        "target: cardEnrollmentChanged(enrollmentId: $id) { state }",
        DRIVER | CARD_KEEPERS,
        DRIVER | CARD_KEEPERS,
        kind="CardEnrollment",
    ),
    "accessChanged": StreamRow("", "accessChanged { at }", EVERYBODY, NOBODY, needs_sign_in=True),
}
"""Every subscription, by its name."""
