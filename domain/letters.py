"""Letters to people about their accounts: what they say, and how they come to be sent."""

from datetime import datetime
from uuid import UUID

import msgspec

from domain import outbox
from domain.outbox import MAIL
from domain.ports import Mail


async def post(to: str, subject: str, text: str, *, about: UUID, now: datetime) -> None:
    """The letter will be sent; call inside the transaction of its cause. `about` makes its id, the same however often it is tried."""
    mail = made(to, subject, text, about=about)
    await outbox.put(MAIL, msgspec.json.encode(mail).decode(), now=now)


def made(to: str, subject: str, text: str, *, about: UUID) -> Mail:
    """The letter, to be sent at once."""
    return Mail(to=to, subject=subject, text=text, message_id=f"<{about.hex}@lade>")


def reset(name: str, token: str, url: str) -> tuple[str, str]:
    """(subject, text) of a letter with which a password can be set anew."""
    return (
        "A new password",
        f"Hello {name},\n\nsomebody asked to set your password at {url} anew. If it was you, enter this code within an hour:\n\n"
        f"    {token}\n\nIf it was not you, do nothing: your password stays as it is.\n",
    )


def verification(name: str, token: str, url: str) -> tuple[str, str]:
    """(subject, text) of a letter that proves an address."""
    return (
        "Is this your address?",
        f"Hello {name},\n\nsomebody made an account at {url} with this address. If it was you, enter this code there within a day, "
        f"while you are signed in to it:\n\n    {token}\n\nIf it was not you, do nothing, and give the code to nobody: without it the "
        "account does not get your address, and is forgotten.\n",
    )


def taken(url: str) -> tuple[str, str]:
    """(subject, text) for somebody whose address was used to make another account."""
    return (
        "You have an account already",
        f"Hello,\n\nsomebody wanted to make an account at {url} with this address, which has one. If it was you, sign in with it; "
        "if you have forgotten the password, ask for a new one. If it was not you, do nothing.\n",
    )


def changed(name: str, url: str) -> tuple[str, str]:
    """(subject, text) for somebody whose password is another now."""
    return (
        "Your password was changed",
        f"Hello {name},\n\nyour password at {url} was changed, and you are signed out elsewhere. If it was not you, ask for a new "
        "password at once.\n",
    )


def invitation(inviter: str, role: str, place: str, token: str, url: str, until: datetime) -> tuple[str, str]:
    """(subject, text) of an invitation to a role somewhere."""
    return (
        f"Invitation: {place}",
        f"Hello,\n\n{inviter} gives you the role {role} at {place}, in the portal {url}. To accept, sign in there or make an "
        f"account, and enter this code before {until:%Y-%m-%d}:\n\n    {token}\n\nIf you do not know what this is about, do nothing.\n",
    )
