"""What every resolver holds: who asks, at what instant, and the ports that use cases need."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from domain.access import Access
from domain.clock import Clock
from domain.commands import Dispatch
from domain.ports import (
    Attempts,
    CallOuts,
    ChargerCommands,
    EventBus,
    EventLog,
    OpenIdProvider,
    Passwords,
    Sealer,
    Tokens,
)
from domain.tracing import UNTRACED, Tracing
from exports.links import ExportLinks
from gql.loaders import Batch, Loaders

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What the edge needs from outside, given by app."""

    bus: EventBus
    log: EventLog
    clock: Clock
    tokens: Tokens
    sealer: Sealer
    call_outs: CallOuts
    attempts: Attempts
    open_id: OpenIdProvider | None = None
    """An outside provider whose sign-ins are taken."""
    is_sign_up_open: bool = False
    """Whether anyone may make an account, or whoever is invited only."""
    passwords: Passwords
    commands: ChargerCommands
    dispatch: Dispatch
    export_links: ExportLinks
    public_url: str
    secret_key: str = field(repr=False)
    """Under which chargers' passwords are hashed."""
    is_creation_open: bool = False
    """Whether anyone may make an installation, or administrators only."""
    tracing: Tracing = UNTRACED


@dataclass(frozen=True, slots=True)
class Budget:
    """Points: what this operation costs, and what its caller has left until `reset_at`."""

    limit: int
    remaining: int
    cost: int
    reset_at: datetime


@dataclass(slots=True)
class Context:
    """One operation's context. `access` was loaded once, at `access.now`."""

    access: Access
    ports: Ports
    budget: Budget | None = None
    address: str = ""
    """The network address of the caller, for limits of those who are not signed in."""
    loaders: Loaders = field(init=False)

    def __post_init__(self) -> None:
        self.loaders = Loaders(self.access)

    @property
    def now(self) -> datetime:
        """The instant of the operation."""
        return self.access.now

    async def load(self, batch: Batch[T], identity: UUID | None) -> T | None:
        """The row of that id, loaded with its neighbours; None when there is none, or none for this person."""
        if identity is None:
            return None
        known: T | None = self.loaders.known(batch, identity)
        return known if known is not None else await self.loaders.load(batch, identity)

    def loading(self, batch: Batch[Any], identity: UUID | None) -> Any:
        """As `load`, but the row itself where it is here already, and without a coroutine of its own."""
        if identity is None:
            return None
        known = self.loaders.known(batch, identity)
        return known if known is not None else self.loaders.load(batch, identity)
