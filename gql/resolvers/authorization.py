"""Who decides about charges: what is set, what was asked and answered, and what came of every attempt."""

from datetime import datetime
from uuid import UUID

from domain import commands, session_events
from domain.access import SITE_RULERS
from domain.authorization import answers, settings
from domain.authorization.settings import Check, ExternalChanges, Outside, Shadow
from domain.errors import NotFoundError
from domain.identity.people import PersonKey, PersonRow
from domain.pages import Page, PageRequest
from domain.roles import AuthorizationDecision, ExternalMode, FailPolicy, Unset
from domain.session_events import GivenUp, Pending
from domain.views.authentication_views import (
    AuthenticationRow,
    ExternalRow,
    authentication_of,
    given_up_of,
    pending_of,
    shadow_of,
)
from domain.views.authorization_views import AttemptRow, VerdictRow, attempts_page, verdict_for, who_can_charge
from domain.views.charger_views import ChargerRow
from domain.views.installation_views import InstallationRow
from gql import ids
from gql.context import Context
from gql.made import Made


def _outside(context: Context) -> Outside:
    ports = context.ports
    return Outside(ports.call_outs, ports.sealer, ports.bus)


async def attempts_of_installation(context: Context, row: InstallationRow, request: PageRequest) -> Page[AttemptRow]:
    """Those at the site that exist for the viewer."""
    return await attempts_page(context.access, request, installation_id=row.id)


async def attempts_of_charger(context: Context, row: ChargerRow, request: PageRequest) -> Page[AttemptRow]:
    """Those at the charger that exist for the viewer."""
    return await attempts_page(context.access, request, charger_id=row.id)


async def viewer_verdict(context: Context, row: ChargerRow, at: datetime | None) -> VerdictRow:
    """Whether a charge by the viewer would be accepted then."""
    return await verdict_for(context.access, row.id, at=at or context.now)


async def people_who_can_charge(
    context: Context, row: ChargerRow, request: PageRequest, *, at: datetime | None = None
) -> Page[PersonRow]:
    """Who may charge there then."""
    return await who_can_charge(context.access, row.id, row.installation_id, request, at=at or context.now)


async def authentication(context: Context, row: InstallationRow) -> AuthenticationRow | None:
    """What is set, for who rules the site."""
    if not context.access.require(context.access.roles_at(row.id), SITE_RULERS):
        return None
    return await authentication_of(row.id)


async def shadow(context: Context, row: ExternalRow) -> Shadow:
    """The comparison."""
    return await shadow_of(row, now=context.now)


async def pending(row: ExternalRow) -> Pending:
    """What waits."""
    return await pending_of(row)


async def given_up(row: ExternalRow) -> GivenUp:
    """Of one system."""
    return await given_up_of(row)


async def set_authentication(
    context: Context,
    *,
    installation_id: str,
    is_required: bool | Unset | None,
    allows_concurrent: bool | Unset | None,
) -> UUID:
    """The site."""
    identity = ids.uuid_of(installation_id, "Installation", at="installationId")
    await settings.set_authentication(
        context.access,
        identity,
        is_required=is_required,
        allows_concurrent=allows_concurrent,
        bus=context.ports.bus,
    )
    return identity


async def configure(
    context: Context,
    *,
    installation_id: str,
    mode: ExternalMode | Unset | None,
    url: str | Unset | None,
    timeout_seconds: float | Unset | None,
    fail_policy: FailPolicy | Unset | None,
    rotate_secret: bool,
    force: bool,
) -> Made:
    """The site, and a new secret if one was made."""
    identity = ids.uuid_of(installation_id, "Installation", at="installationId")
    changes = ExternalChanges(
        mode=mode,
        url=url,
        timeout_s=timeout_seconds,
        fail_policy=fail_policy,
        rotates_secret=rotate_secret,
        is_forced=force,
    )
    secret = await settings.configure_external(context.access, identity, changes, outside=_outside(context))
    return Made(identity, {"webhook_secret": secret})


async def preflight(context: Context, *, installation_id: str, url: str | Unset | None) -> list[Check]:
    """What the check finds."""
    return await settings.preflight(
        context.access,
        ids.uuid_of(installation_id, "Installation", at="installationId"),
        url=url if isinstance(url, str) else None,
        outside=_outside(context),
    )


async def answer(
    context: Context,
    *,
    request_id: str,
    decision: AuthorizationDecision,
    reason: str | Unset | None,
    external_user_id: str | Unset | None,
    external_session_id: str | Unset | None,
    cache_for_seconds: int,
) -> UUID:
    """The question, answered."""
    identity = ids.uuid_of(request_id, "AuthorizationRequest", at="requestId")
    await answers.answer_request(
        context.access,
        identity,
        decision=decision,
        reason=reason if isinstance(reason, str) else None,
        external_user_id=external_user_id if isinstance(external_user_id, str) else None,
        external_session_id=external_session_id if isinstance(external_session_id, str) else None,
        cache_for_s=cache_for_seconds,
        bus=context.ports.bus,
    )
    return identity


async def authorize_charging(
    context: Context,
    *,
    charger_id: str,
    person: PersonKey,
    external_session_id: str | Unset | None,
    valid_for_seconds: int,
) -> UUID:
    """The command."""
    return await commands.authorize_charging(
        context.access,
        ids.uuid_of(charger_id, "Charger", at="chargerId"),
        person=person,
        external_session_id=external_session_id if isinstance(external_session_id, str) else None,
        valid_for_s=valid_for_seconds,
        bus=context.ports.bus,
        dispatch=context.ports.dispatch,
    )


async def replay(context: Context, *, installation_id: str, from_event_id: str) -> None:
    """They will be delivered again."""
    identity = ids.uuid_of(installation_id, "Installation", at="installationId")
    try:
        event_id = UUID(from_event_id)
    except ValueError:
        raise NotFoundError(path=("fromEventId",)) from None
    await session_events.replay(context.access, identity, event_id)
