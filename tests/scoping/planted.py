"""Leaks that are put into the product, one at a time, to see that they are found."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any
from unittest.mock import patch

from domain import access as doors
from domain import sessions
from domain.access import Access, StatusView
from domain.filters import Expression
from domain.models import Charger
from domain.pages import page_of
from domain.roles import SessionState
from domain.views import authorization_views, card_views, charger_views, ocpp_message_views, permission_views
from tests.factories import LONG_AGO

Plant = Callable[[ExitStack], None]


def _open(*names: str) -> Plant:
    """These conditions let every row through."""

    def plant(stack: ExitStack) -> None:
        for name in names:
            stack.enter_context(patch.object(Access, name, lambda *_: "1 = 1"))

    return plant


def _always(name: str, value: object) -> Plant:
    def plant(stack: ExitStack) -> None:
        stack.enter_context(patch.object(Access, name, lambda *_, **__: value))

    return plant


def _without(statement: str, part: str, instead: str = "") -> Plant:
    """A part is missing in a statement of the module that reads rights."""

    def plant(stack: ExitStack) -> None:
        text = getattr(doors, statement)
        assert part in text, f"{statement} does not hold {part!r} any more"
        stack.enter_context(patch.object(doors, statement, text.replace(part, instead)))

    return plant


def _since_ever(stack: ExitStack) -> None:
    joined = doors._joined

    def earlier(*given: Any, **named: Any) -> Any:
        known, place, role, _ = given
        return joined(known, place, role, LONG_AGO, **named)

    stack.enter_context(patch.object(doors, "_joined", earlier))


def _filtered(module: ModuleType, column: str, expression: str) -> Plant:
    """The filter compares with this, whoever asks; what is shown stays as it is."""

    def plant(stack: ExitStack) -> None:
        columns = {**module.COLUMNS, column: Expression(expression, is_text=True)}
        stack.enter_context(patch.object(module, "COLUMNS", columns))

    return plant


def _void_energy(stack: ExitStack) -> None:
    columns = sessions.SESSION_COLUMNS.replace(
        f"CASE WHEN s.state <> '{SessionState.VOID}' THEN s.energy_wh END", "s.energy_wh"
    )
    assert columns != sessions.SESSION_COLUMNS
    stack.enter_context(patch.object(sessions, "SESSION_COLUMNS", columns))


def _messages_of_all(stack: ExitStack) -> None:
    stack.enter_context(patch.object(ocpp_message_views, "_visible", lambda *_: "1 = 1"))


def _all_counted(stack: ExitStack) -> None:
    async def count() -> int:
        return await Charger.all().count()

    def counting(*given: Any, **named: Any) -> Any:
        return page_of(*given, **{**named, "count": count})

    stack.enter_context(patch.object(charger_views, "page_of", counting))


def _unmasked(stack: ExitStack) -> None:
    for module in (card_views, authorization_views):
        stack.enter_context(patch.object(module, "masked", lambda number: number))


PLANTED: Mapping[str, Plant] = {
    "all charges are listed": _open("sessions_condition"),
    "all chargers are listed": _open("chargers_condition"),
    "all installations are listed": _open("installations_condition"),
    "all circuits are listed": _open("circuits_condition"),
    "all alerts are listed": _open("alerts_condition"),
    "all grants are listed": _open("permissions_condition"),
    "whoever sees a grant could have given it": _open("granting_condition"),
    "all groups are listed": _open("groups_condition"),
    "everybody sees who is in a group": _open("managed_groups_condition"),
    "everybody has a name for everybody": _open("users_condition"),
    "whoever knows a name knows the address": _open("user_contacts_condition"),
    "all cards are listed": _open("cards_condition"),
    "all attempts are listed": _open("attempts_condition"),
    "programs are asked about every place": _open("asked_condition"),
    "all service accounts are listed": _open("service_accounts_condition"),
    "the audit log is for everybody": _open("ruled_condition"),
    "what only staff sees of a charger is for all": _open("charger_details_condition"),
    "summaries are for everybody": _always("reads_sessions_of", True),
    "live status tells everybody all": _always("status_view", StatusView.FULL),
    "card numbers are whole": _unmasked,
    "what chargers say is for everybody": _messages_of_all,
    "decisions of the balancer are for everybody": _always("sees_circuits", True),
    "a charge that is void keeps its energy": _void_energy,
    "revoked grants hold": _without("_GRANTS", "AND p.revoked_at IS NULL "),
    "ended grants hold": _without("_GRANTS", "AND (p.valid_to IS NULL OR p.valid_to > $2)"),
    "grants hold before they begin": _without("_GRANTS", "p.valid_from <= $2", "$2 = $2"),
    "an owner of a charger sees what was before": _since_ever,
    "programs work everywhere": _without("_PROGRAM", "p ON p.account_id = a.id", "p ON 1 = 1"),
    "tokens that are over work": _without("_PROGRAM", "t.revoked_at IS NULL AND "),
    "groups are everybody's": _without("_GRANTS", " WHERE m.user_id = $1)", " WHERE m.user_id = $1 OR 1 = 1)"),
    "a grant on a charger is one on the whole place": _without(
        "_GRANTS", "p.charger_id, p.valid", "NULL AS charger_id, p.valid"
    ),
    "a token has all that its account has": _without("_PROGRAM", "t.scopes AS token_scopes", "NULL AS token_scopes"),
    "a charger is found by the identity that is hidden": _filtered(
        charger_views,
        "identity",
        "(SELECT y.identity FROM chargers x JOIN stations y ON y.id = x.station_id WHERE x.id = c.id)",
    ),
    "a grant is found by its giver's own id for it": _filtered(
        permission_views, "externalId", "(SELECT x.external_id FROM permissions x WHERE x.id = p.id)"
    ),
    "all chargers are counted": _all_counted,
    "grants move with their charger": _without(
        "_GRANTS", "c.installation_id AS stands_at", "p.installation_id AS stands_at"
    ),
}
"""By what goes wrong."""


@contextmanager
def planted(name: str) -> Iterator[None]:
    """Inside: the product has that leak."""
    with ExitStack() as stack:
        PLANTED[name](stack)
        yield
