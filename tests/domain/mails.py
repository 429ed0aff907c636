"""Letters that tests look into."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from domain.errors import UnavailableError
from domain.ports import Mail


class Post:
    """A Mailer that keeps what it takes, and takes nothing while it is away."""

    def __init__(self, *, is_away: bool = False) -> None:
        self.is_away = is_away
        self.taken: list[Mail] = []

    async def send(self, mail: Mail) -> None:
        if self.is_away:
            raise UnavailableError("no answer")
        self.taken.append(mail)

    @asynccontextmanager
    async def batch(self) -> AsyncIterator["Post"]:
        yield self


def code_of(mail: Mail) -> str:
    """The code that the letter tells."""
    (found,) = re.findall(r"^    (\S+)$", mail.text, re.MULTILINE)
    return str(found)
