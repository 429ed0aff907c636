"""What one running process has at hand: its settings, its clock and its connections to the outside."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from app.attempt_limits import AttemptLimits
from app.auth import Argon2Passwords, FernetSealer, SignedTokens
from app.call_outs import SignedCallOuts
from app.database import database_of, migrate, opened
from app.embedded import EmbeddedValkey
from app.mail import mailer_of
from app.metrics import new_registry, watch_bus, watch_database, watch_services
from app.openid import OpenIdConnect
from app.redis_bus import RedisBus
from app.settings import ServerRole, Settings
from app.supervisor import Supervisor
from app.telemetry import tracing_of
from domain.clock import Clock, SystemClock
from domain.ports import Attempts, CallOuts, Mailer, OpenIdProvider, Passwords, Sealer, Tokens
from domain.tracing import UNTRACED, Tracing


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """A process with its database open, its bus connected and its supervisor waiting for services."""

    settings: Settings
    roles: frozenset[ServerRole]
    clock: Clock
    bus: RedisBus
    supervisor: Supervisor
    metrics: CollectorRegistry
    passwords: Passwords
    tokens: Tokens
    sealer: Sealer
    call_outs: CallOuts
    attempts: Attempts
    open_id: OpenIdProvider | None
    mailer: Mailer
    tracing: Tracing = UNTRACED


@asynccontextmanager
async def open_house(
    settings: Settings, roles: frozenset[ServerRole], *, clock: Clock | None = None
) -> AsyncIterator[House]:
    """Inside: the database has this version's tables, the bus hears and speaks. OperatorError when one cannot be had.

    Leaving, everything is closed in the reverse order. Enter it in the main thread (see EmbeddedValkey).
    """
    clock = clock or SystemClock()
    database = database_of(settings)
    await migrate(database)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(opened(database))
        redis_url, valkey = settings.redis_url, None
        if redis_url is None:
            valkey = await stack.enter_async_context(EmbeddedValkey(settings.data_dir))
            redis_url = valkey.url
        bus = await stack.enter_async_context(RedisBus(redis_url))
        supervisor = await stack.enter_async_context(Supervisor(clock=clock))
        if valkey is not None:
            supervisor.run("valkey", valkey.keep_alive)
        passwords = Argon2Passwords()
        stack.callback(passwords.close)
        call_outs = await stack.enter_async_context(SignedCallOuts(clock, allowed=settings.call_out_allow))
        open_id = None
        if settings.openid_issuer is not None and settings.openid_audience is not None:
            provider = OpenIdConnect(settings.openid_issuer, settings.openid_audience, clock)
            open_id = await stack.enter_async_context(provider)
        metrics = new_registry()
        watch_bus(metrics, bus)
        watch_services(metrics, supervisor)
        watch_database(metrics)
        tracing = stack.enter_context(tracing_of(os.environ, roles=",".join(sorted(roles))))
        yield House(
            settings=settings,
            roles=roles,
            clock=clock,
            bus=bus,
            supervisor=supervisor,
            metrics=metrics,
            passwords=passwords,
            tokens=SignedTokens(settings.secret_key),
            sealer=FernetSealer(settings.secret_key),
            call_outs=call_outs,
            attempts=AttemptLimits(bus.client, clock),
            open_id=open_id,
            mailer=mailer_of(settings, clock=clock),
            tracing=tracing,
        )
