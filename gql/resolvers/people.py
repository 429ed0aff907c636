"""Who is asking, and signing in and out."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from domain.filters import ANYTHING, Comparison, Condition, Term
from domain.identity import account_recovery, invitations, one_time_codes, sign_ins
from domain.identity.sign_ins import Entrance, SignedIn
from domain.pages import Page, PageRequest
from domain.roles import Unset
from domain.views.permission_views import PermissionRow, permissions_page
from gql.context import Context


@dataclass(frozen=True, slots=True)
class ViewerRow:
    """The person or the service account that asks."""

    user_id: UUID | None
    service_account_id: UUID | None = None


def viewer(context: Context) -> ViewerRow | None:
    """Who is asking; None when nobody is signed in."""
    actor = context.access.actor
    return None if actor is None else ViewerRow(actor.user_id, actor.service_account_id)


async def permissions_of_viewer(
    context: Context, _row: Any, request: PageRequest, *, where: Condition | None = None
) -> Page[PermissionRow]:
    """What the person who asks holds, also through groups."""
    own = Term("isOwn", Comparison.EQUALS, value=True)
    return await permissions_page(context.access, request, where=where or ANYTHING, within=own)


def _entrance(context: Context) -> Entrance:
    ports = context.ports
    return Entrance(
        passwords=ports.passwords,
        tokens=ports.tokens,
        sealer=ports.sealer,
        attempts=ports.attempts,
        clock=ports.clock,
        bus=ports.bus,
        address=context.address,
    )


def _entered(context: Context, signed_in: SignedIn) -> SignedIn:
    """What is asked for of the sign-in's viewer is seen by its access."""
    context.access = signed_in.access
    return signed_in


async def sign_in(context: Context, *, email: str, password: str, totp_code: str | Unset | None) -> SignedIn:
    """A new sign-in."""
    code = totp_code if isinstance(totp_code, str) else None
    return _entered(context, await sign_ins.sign_in(email, password, totp_code=code, at=_entrance(context)))


async def sign_in_with_open_id(
    context: Context, *, id_token: str, nonce: str | Unset | None, totp_code: str | Unset | None
) -> SignedIn:
    """A new sign-in of whom an outside provider knows."""
    ports = context.ports
    signed_in = await sign_ins.sign_in_with_open_id(
        id_token,
        nonce=nonce if isinstance(nonce, str) else None,
        totp_code=totp_code if isinstance(totp_code, str) else None,
        provider=ports.open_id,
        is_open=ports.is_sign_up_open,
        at=_entrance(context),
    )
    return _entered(context, signed_in)


async def sign_up(
    context: Context, *, name: str, email: str, password: str, invitation_token: str | Unset | None
) -> SignedIn:
    """A new account, signed in."""
    ports = context.ports
    signed_in = await account_recovery.sign_up(
        name=name,
        email=email,
        password=password,
        invitation_token=invitation_token if isinstance(invitation_token, str) else None,
        is_open=ports.is_sign_up_open,
        public_url=ports.public_url,
        at=_entrance(context),
    )
    return _entered(context, signed_in)


async def refresh_sign_in(context: Context, *, refresh_token: str) -> SignedIn:
    """New tokens of the same sign-in."""
    ports = context.ports
    return _entered(
        context,
        await sign_ins.refresh_sign_in(refresh_token, tokens=ports.tokens, clock=ports.clock, bus=ports.bus),
    )


async def sign_out(context: Context, *, everywhere: bool) -> None:
    """The sign-in has ended."""
    await sign_ins.sign_out(context.access, everywhere=everywhere, bus=context.ports.bus)


async def change_password(context: Context, *, current_password: str, new_password: str) -> None:
    """The password is another."""
    await account_recovery.change_password(
        context.access,
        current=current_password,
        new=new_password,
        public_url=context.ports.public_url,
        at=_entrance(context),
    )


async def request_password_reset(context: Context, *, email: str) -> None:
    """A letter is on its way, if there is an account."""
    await account_recovery.request_password_reset(email, at=_entrance(context))


async def reset_password(context: Context, *, token: str, new_password: str) -> None:
    """The password is set anew."""
    await account_recovery.reset_password(
        token, new_password, public_url=context.ports.public_url, at=_entrance(context)
    )


async def verify_email(context: Context, *, token: str) -> None:
    """The address is proven."""
    await account_recovery.verify_email(context.access, token, tokens=context.ports.tokens)


async def accept_invitation(context: Context, *, token: str) -> UUID:
    """The permission, now the viewer's."""
    ports = context.ports
    return await invitations.accept(context.access, token, tokens=ports.tokens, bus=ports.bus)


async def set_up_totp(context: Context) -> one_time_codes.Setup:
    """A new secret."""
    return await one_time_codes.set_up(context.access, sealer=context.ports.sealer, tokens=context.ports.tokens)


async def confirm_totp(context: Context, *, code: str) -> None:
    """Codes are asked for."""
    ports = context.ports
    await one_time_codes.confirm(
        context.access, code, sealer=ports.sealer, attempts=ports.attempts, address=context.address
    )


async def remove_totp(context: Context, *, password: str | Unset | None, code: str | Unset | None) -> None:
    """Codes are no longer asked for."""
    ports = context.ports
    given = one_time_codes.Proofs(
        password=password if isinstance(password, str) else None,
        code=code if isinstance(code, str) else None,
        passwords=ports.passwords,
        sealer=ports.sealer,
        tokens=ports.tokens,
        attempts=ports.attempts,
        address=context.address,
    )
    await one_time_codes.remove(context.access, given)
