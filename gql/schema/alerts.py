"""Alerts: what is wrong, since when, and who looks after it."""

from datetime import datetime, time
from typing import TYPE_CHECKING, Annotated, Any

import strawberry
from strawberry.types.info import Info

from domain.alerting.alert_subscriptions import AlertSubscriptionRow, subscriptions_by_ids
from domain.filters import Condition
from domain.roles import AlertDelivery, AlertKind, AlertState, Language, Severity
from domain.views.alert_views import AlertRow, alerts_by_ids
from domain.views.charger_views import chargers_by_ids
from domain.views.circuit_views import circuits_by_ids
from domain.views.installation_views import installations_by_ids
from gql import ids
from gql.context import Context
from gql.ids import global_id
from gql.live import Source
from gql.resolvers import alert_stream
from gql.resolvers import alerts as resolvers
from gql.schema.enums import LiveEventKind
from gql.schema.errors import ConflictError, NotAllowedError, NotFoundError, ValidationError
from gql.schema.fields import derived, related, resolved
from gql.schema.filters import DateTimeFilter, IDFilter, any_of, every, id_terms, terms
from gql.schema.live import StatusTarget, followed
from gql.schema.mutations import REMOVED, Thing, mutation
from gql.schema.nodes import Node, NodeKind
from gql.schema.removal import RemoveInput, RemoveResult

if TYPE_CHECKING:
    from gql.schema.chargers import Charger
    from gql.schema.circuits import Circuit
    from gql.schema.installations import Installation


@strawberry.type(
    description="Something is wrong: OPEN, then perhaps ACKNOWLEDGED, and RESOLVED when it is over by itself. One is open for each kind "
    "and thing. Seen by OWNER of the charger, and OWNER and SERVICE of the installation and ADMINISTRATOR."
)
class Alert(Node):
    """Read from AlertRow."""

    kind: AlertKind
    severity: Severity
    state: AlertState
    message: str = strawberry.field(description="In words for people, with what to do about it.")
    installation: Annotated["Installation", strawberry.lazy("gql.schema.installations")] = related(
        installations_by_ids, lambda row: row.installation_id
    )
    charger: Annotated["Charger", strawberry.lazy("gql.schema.chargers")] | None = related(
        chargers_by_ids,
        lambda row: row.charger_id,
        description="Null where it is about a circuit or the whole installation, and when the charger is hidden by now.",
    )
    circuit: Annotated["Circuit", strawberry.lazy("gql.schema.circuits")] | None = related(
        circuits_by_ids,
        lambda row: row.circuit_id,
        description="Null where it is not about a circuit, and for who does not see circuits.",
    )
    vendor_code: str | None = strawberry.field(description="The vendor's own code; null when the charger sent none.")
    opened_at: datetime
    acknowledged_at: datetime | None = strawberry.field(description="Null until somebody looks after it.")
    acknowledged_by: str | None = strawberry.field(
        description="Who looks after it, by name. Null until somebody does, and for who owns no more than the charger, unless it was they."
    )
    note: str | None = strawberry.field(description="What they said to it; null when nothing.")
    resolved_at: datetime | None = strawberry.field(description="Null while it goes on.")
    occurrences: int = strawberry.field(
        description="How often it has opened by now, each time within an hour of the one before; from the third on it is mailed about in a "
        "digest."
    )


_SEVERITIES = list(Severity)


@strawberry.input(description="Several fields are AND, a list is any of.")
class AlertWhere:
    """Becomes a condition."""

    state: list[AlertState] | None = strawberry.UNSET
    kind: list[AlertKind] | None = strawberry.UNSET
    charger_id: IDFilter | None = strawberry.UNSET
    minimum_severity: Severity | None = strawberry.field(
        description="INFO, WARNING, ERROR, CRITICAL: this one and worse.", default=strawberry.UNSET
    )
    opened_at: DateTimeFilter | None = strawberry.UNSET

    def to_domain(self) -> Condition:
        """The condition."""
        least = self.minimum_severity or None
        return every(
            any_of("state", self.state),
            any_of("kind", self.kind),
            id_terms("chargerId", self.charger_id, "Charger"),
            any_of("severity", None if least is None else _SEVERITIES[_SEVERITIES.index(least) :]),
            terms("openedAt", self.opened_at),
        )


@strawberry.input(description="The note has at most 500 characters.")
class AcknowledgeAlertInput:
    """Who looks after it is who asks."""

    alert_id: strawberry.ID
    note: str | None = strawberry.UNSET
    idempotency_key: str | None = strawberry.UNSET


@strawberry.type(description="The alert as it is now.")
class AlertSuccess:
    """Read anew."""

    alert: Alert


AlertResult = Annotated[
    AlertSuccess | ValidationError | NotFoundError | NotAllowedError | ConflictError, strawberry.union("AlertResult")
]


async def _chargers(root: Any, info: Info[Context, Any]) -> Any:
    return await resolvers.chargers_of(info.context, root)


@strawberry.type(
    description="A person's own wish for mails about alerts at an installation, as far as they may see them. No chargers: all of them. No "
    "kinds: all. No mail before isVerified."
)
class AlertSubscription(Node):
    """Read from AlertSubscriptionRow."""

    installation: Annotated["Installation", strawberry.lazy("gql.schema.installations")] = related(
        installations_by_ids, lambda row: row.installation_id
    )
    chargers = resolved(
        _chargers,
        list[Annotated["Charger", strawberry.lazy("gql.schema.chargers")]],
        description="Empty: all. What concerns a circuit or the whole installation concerns each charger.",
    )
    kinds: list[AlertKind]
    minimum_severity: Severity
    delivery: AlertDelivery
    digest_hour: int = strawberry.field(description="Of the daily digest, 0 to 23, in the installation's zone.")
    quiet_from: time | None = strawberry.field(description="Null without quiet hours.")
    quiet_to: time | None = strawberry.field(description="Null without quiet hours.")
    sends_resolved: bool
    email: str = strawberry.field(description="Where the mails go.")
    is_verified: bool = strawberry.field(
        description="Whether the address has said that it wants them; the address of one's own account need not be asked."
    )
    language: Language


@strawberry.input(
    description="chargerIds and kinds: empty or left out for all. Quiet hours are local times of the installation, perhaps over midnight; "
    "what is CRITICAL is mailed all the same, and the rest when they end. A daily digest comes at digestHour, an hourly one at the full "
    "hour. email: another address than that of the account, which is asked first. language: left out, that of the last subscription."
)
class SubscribeToAlertsInput:
    """At one installation."""

    installation_id: strawberry.ID
    charger_ids: list[strawberry.ID] | None = strawberry.UNSET
    kinds: list[AlertKind] | None = strawberry.UNSET
    minimum_severity: Severity = Severity.WARNING
    delivery: AlertDelivery = AlertDelivery.IMMEDIATE
    digest_hour: int = 7
    quiet_from: time | None = strawberry.UNSET
    quiet_to: time | None = strawberry.UNSET
    sends_resolved: bool = True
    email: str | None = strawberry.UNSET
    language: Language | None = strawberry.UNSET
    idempotency_key: str | None = strawberry.UNSET


@strawberry.input(description="An absent field stays; null clears chargerIds, kinds and the quiet hours.")
class UpdateAlertSubscriptionInput:
    """One's own."""

    alert_subscription_id: strawberry.ID
    charger_ids: list[strawberry.ID] | None = strawberry.UNSET
    kinds: list[AlertKind] | None = strawberry.UNSET
    minimum_severity: Severity | None = strawberry.UNSET
    delivery: AlertDelivery | None = strawberry.UNSET
    digest_hour: int | None = strawberry.UNSET
    quiet_from: time | None = strawberry.UNSET
    quiet_to: time | None = strawberry.UNSET
    sends_resolved: bool | None = strawberry.UNSET
    language: Language | None = strawberry.UNSET
    idempotency_key: str | None = strawberry.UNSET


@strawberry.type(description="The subscription as it is now.")
class AlertSubscriptionSuccess:
    """Read anew."""

    alert_subscription: AlertSubscription


AlertSubscriptionResult = Annotated[
    AlertSubscriptionSuccess | ValidationError | NotFoundError | NotAllowedError | ConflictError,
    strawberry.union("AlertSubscriptionResult"),
]
_SUBSCRIPTION = Thing(AlertSubscriptionSuccess, "alert_subscription", "AlertSubscription")


@strawberry.type
class AlertMutations:
    """What people do about alerts."""

    subscribe_to_alerts = mutation(
        resolvers.subscribe,
        SubscribeToAlertsInput,
        AlertSubscriptionResult,
        _SUBSCRIPTION,
        description="Mails the viewer about alerts there that they may see. For OWNER of the installation or a charger there, SERVICE and "
        "ADMINISTRATOR. An owner without a subscription to their own address is mailed there at once about each WARNING and worse; the "
        "first one takes the place of that.",
    )
    update_alert_subscription = mutation(
        resolvers.update_subscription,
        UpdateAlertSubscriptionInput,
        AlertSubscriptionResult,
        _SUBSCRIPTION,
        description="Changes a subscription of the viewer's own.",
    )
    unsubscribe_from_alerts = mutation(
        resolvers.unsubscribe,
        RemoveInput,
        RemoveResult,
        REMOVED,
        description="Ends a subscription of the viewer's own. What waits is not sent.",
    )

    acknowledge_alert = mutation(
        resolvers.acknowledge,
        AcknowledgeAlertInput,
        AlertResult,
        Thing(AlertSuccess, "alert", "Alert"),
        description="Says that the viewer looks after an alert: OPEN becomes ACKNOWLEDGED until it is over. ConflictError: it is resolved, "
        "or (ALREADY_DECIDED) acknowledged already. For OWNER of the charger, and OWNER and SERVICE of the installation and ADMINISTRATOR.",
    )


@strawberry.type(
    description="SNAPSHOT: those not resolved. `alert` is set in SNAPSHOT and CHANGED, `alertId` in REMOVED too. `isResync`: forget what "
    "you had."
)
class AlertEvent:
    """Read from AlertEventRow."""

    cursor: str = strawberry.field(
        description="Of the place in the stream; pass that of the last event taken as `after`."
    )
    is_resync: bool
    kind: LiveEventKind = derived(lambda event: LiveEventKind(event.kind))
    alert_id: strawberry.ID | None = derived(
        lambda event: None if event.alert_id is None else global_id("Alert", event.alert_id),
        description="Null where the event is about no alert.",
    )
    alert: Alert | None = strawberry.field(description="Its newest state; null where the event is about none.")


async def _alert_changed(
    info: Info[Context, Any], target: StatusTarget, after: str | None = strawberry.UNSET
) -> Source:
    del after  # Where one goes on is the audience's business: the stream is the same.
    return await alert_stream.alert_changed(
        info.context,
        charger_id=ids.optional_uuid_of(target.charger_id or None, "Charger", at="target"),
        installation_id=ids.optional_uuid_of(target.installation_id or None, "Installation", at="target"),
    )


@strawberry.type
class AlertStreams:
    """The stream of alerts."""

    alert_changed = followed(
        _alert_changed,
        AlertEvent,
        description="First the alerts of the target that are not resolved (SNAPSHOT), then READY, then each change, as far as they are the "
        "viewer's to see; HEARTBEAT at least every 30 s. Slow readers get the newest state of an alert. REMOVED: an alert is no longer "
        "theirs to see; an error with code ACCESS_ENDED and the end: the target is not. A hidden target is NOT_FOUND.",
    )


NODES = (
    NodeKind(Alert, AlertRow, alerts_by_ids),
    NodeKind(AlertSubscription, AlertSubscriptionRow, subscriptions_by_ids),
)
