"""Who decides about charges at a site, what was asked and answered, and what came of every attempt."""

from uuid import UUID

from tortoise import fields
from tortoise.indexes import Index
from tortoise.models import Model

from domain.ids import new_id
from domain.models.chargers import Station
from domain.models.installations import Installation
from domain.roles import AuthorizationDecision, CredentialType, Decider, ExternalMode, FailPolicy, SessionEventKind


class ExternalAuthentication(Model):
    """An installation's external authentication system. Secrets are sealed, the previous one signs along until its time is over.

    `passed_at` is when the pre-flight check of `url` as it is now last passed, `gone_at` when it said that there is nobody any more,
    `paused_until` how long it wants to be left alone with events.
    """

    installation: fields.OneToOneRelation[Installation] = fields.OneToOneField(
        "domain.Installation", related_name="external", primary_key=True, on_delete=fields.OnDelete.CASCADE
    )
    installation_id: UUID
    mode = fields.CharEnumField(ExternalMode, max_length=8, default=ExternalMode.OFF)
    url = fields.CharField(max_length=2000, null=True)
    timeout_s = fields.FloatField(default=5.0)
    fail_policy = fields.CharEnumField(FailPolicy, max_length=12, default=FailPolicy.DENY)
    secret = fields.CharField(max_length=255, null=True)
    previous_secret = fields.CharField(max_length=255, null=True)
    previous_secret_until = fields.DatetimeField(null=True)
    passed_at = fields.DatetimeField(null=True)
    gone_at = fields.DatetimeField(null=True)
    paused_until = fields.DatetimeField(null=True)

    class Meta:
        table = "external_authentications"


class AuthorizationRequest(Model):
    """A question to an external system, `token` is whole and normalised. The first answer is written, later ones find it there.

    `native_decision` is what we would have said. `called_at` is when a process took it on to call the system. An answer with
    `cache_until` serves the same token at the site until then.
    """

    id = fields.UUIDField(primary_key=True, default=new_id)
    installation_id = fields.UUIDField()
    charger_id = fields.UUIDField(db_index=True)
    station_id = fields.UUIDField(null=True)
    credential_type = fields.CharEnumField(CredentialType, max_length=8)
    token = fields.CharField(max_length=64)
    user_id = fields.UUIDField(null=True, db_index=True)
    card_id = fields.UUIDField(null=True)
    requested_at = fields.DatetimeField()
    expires_at = fields.DatetimeField()
    is_shadow = fields.BooleanField(default=False)
    native_decision = fields.CharEnumField(AuthorizationDecision, max_length=10)
    called_at = fields.DatetimeField(null=True)
    decision = fields.CharEnumField(AuthorizationDecision, max_length=10, null=True)
    decided_by = fields.CharEnumField(Decider, max_length=16, null=True)
    decided_at = fields.DatetimeField(null=True)
    reason = fields.CharField(max_length=300, null=True)
    answered_by_id = fields.UUIDField(null=True)
    external_user_id = fields.CharField(max_length=200, null=True)
    external_session_id = fields.CharField(max_length=200, null=True)
    cache_until = fields.DatetimeField(null=True)

    class Meta:
        table = "authorization_requests"
        indexes = (
            Index(fields=("installation_id", "requested_at")),
            Index(fields=("token", "requested_at")),
            Index(fields=("decided_at", "expires_at")),
        )


class AuthorizationAttempt(Model):
    """What came of an attempt to charge. `token` is the whole credential, shown to nobody."""

    id = fields.UUIDField(primary_key=True, default=new_id)
    installation_id = fields.UUIDField()
    charger_id = fields.UUIDField()
    station_id = fields.UUIDField(null=True)
    credential_type = fields.CharEnumField(CredentialType, max_length=8)
    token = fields.CharField(max_length=64, null=True)
    user_id = fields.UUIDField(null=True, db_index=True)
    card_id = fields.UUIDField(null=True)
    at = fields.DatetimeField()
    decision = fields.CharEnumField(AuthorizationDecision, max_length=10, null=True)
    decided_by = fields.CharEnumField(Decider, max_length=16, null=True)
    reason = fields.CharField(max_length=300, null=True)
    request_id = fields.UUIDField(null=True, db_index=True)
    session_id = fields.UUIDField(null=True, db_index=True)
    external_session_id = fields.CharField(max_length=200, null=True)

    class Meta:
        table = "authorization_attempts"
        indexes = (
            Index(fields=("installation_id", "at", "id")),
            Index(fields=("charger_id", "at", "id")),
            Index(fields=("station_id", "token", "at")),
        )


class SessionEvent(Model):
    """Something about a charge that an external system is told, in the order of `id`, each with its whole content in `payload`.

    `event_id` is how receivers tell a repetition. A claim is a lease, as in the outbox. While an event waits, none of its session
    that comes after it is due earlier.
    """

    id = fields.BigIntField(primary_key=True)
    event_id = fields.UUIDField(unique=True, default=new_id)
    installation_id = fields.UUIDField()
    session_id = fields.UUIDField()
    kind = fields.CharEnumField(SessionEventKind, max_length=10)
    payload = fields.TextField()
    created_at = fields.DatetimeField()
    due_at = fields.DatetimeField()
    attempts = fields.IntField(default=0)
    replayed_at = fields.DatetimeField(null=True)
    claimed_until = fields.DatetimeField(null=True)
    delivered_at = fields.DatetimeField(null=True)
    failed_at = fields.DatetimeField(null=True)
    error = fields.CharField(max_length=500, null=True)

    class Meta:
        table = "session_events"
        indexes = (
            Index(fields=("session_id", "id")),
            Index(fields=("installation_id", "id")),
            Index(fields=("created_at",)),
        )


class LocalList(Model):
    """The local authorization list that a station holds, as far as we know: `entries` is its JSON, `version` what we called it.

    `is_supported` None: it was not asked yet.
    """

    station: fields.OneToOneRelation[Station] = fields.OneToOneField(
        "domain.Station", related_name="local_list", primary_key=True, on_delete=fields.OnDelete.CASCADE
    )
    station_id: UUID
    version = fields.IntField(default=0)
    entries = fields.TextField(default="{}")
    is_supported = fields.BooleanField(null=True)
    synchronised_at = fields.DatetimeField(null=True)
    error = fields.CharField(max_length=300, null=True)

    class Meta:
        table = "local_lists"
