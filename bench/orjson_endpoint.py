"""The peer of list_query: a page of sessions written by hand with Starlette and orjson, on the same SQLite file.

`/sessions` asks nobody who they are; `/my/sessions` checks the access token, its sign-in and the owner's grant in one more
statement, as an endpoint must before it goes into use.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiosqlite
import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app.database import SQLITE_FILE
from app.house import House

PAGE = 100

_SELECT = """
SELECT id, state, installation_name, charger_name, user_name, started_at, ended_at, registered_at, energy_wh,
  connected_s, stop_reason, external_id
FROM charge_sessions WHERE installation_id = ?1 AND {after} ORDER BY started_at DESC, id DESC LIMIT ?2
"""
_FIRST = _SELECT.format(after="1 = 1")
_NEXT = _SELECT.format(after="(started_at, id) < (?3, ?4)")
_RIGHT = """
SELECT 1 FROM users u JOIN sign_ins s ON s.user_id = u.id JOIN permissions p ON p.user_id = u.id
WHERE u.id = ?1 AND u.is_active AND s.id = ?2 AND s.ended_at IS NULL AND p.installation_id = ?3 AND p.role = 'OWNER'
  AND p.charger_id IS NULL AND p.revoked_at IS NULL AND p.valid_from <= ?4 AND (p.valid_to IS NULL OR p.valid_to > ?4)
"""


@asynccontextmanager
async def served(house: House) -> AsyncIterator[list[BaseRoute]]:
    """The routes, over a connection of their own."""
    async with aiosqlite.connect(house.settings.data_dir / SQLITE_FILE) as connection:

        async def page(query: Mapping[str, str]) -> Response:
            installation_id, after = query["installation"], query.get("after")
            values: tuple[Any, ...] = (installation_id, PAGE + 1)
            if after is not None:
                values += tuple(after.split("|"))
            rows = list(await connection.execute_fetchall(_FIRST if after is None else _NEXT, values))
            return Response(orjson.dumps(_answer(rows)), media_type="application/json")

        async def sessions(request: Request) -> Response:
            return await page(request.query_params)

        async def my_sessions(request: Request) -> Response:
            now = house.clock.now()
            claims = house.tokens.verify(request.headers["authorization"].removeprefix("Bearer "), now=now)
            installation_id = request.query_params["installation"]
            values = (str(claims.user_id), str(claims.session_id), installation_id, str(now))
            if not list(await connection.execute_fetchall(_RIGHT, values)):
                return Response(status_code=404)
            return await page(request.query_params)

        yield [Route("/sessions", sessions), Route("/my/sessions", my_sessions)]


def _answer(rows: Sequence[Sequence[Any]]) -> dict[str, Any]:
    kept = rows[:PAGE]
    return {
        "nodes": [_shown(row) for row in kept],
        "endCursor": f"{kept[-1][5]}|{kept[-1][0]}" if kept else None,
        "hasNextPage": len(rows) > PAGE,
    }


def _shown(row: Sequence[Any]) -> dict[str, Any]:
    (
        identity, state, installation_name, charger_name, user_name, started_at, ended_at, registered_at, energy_wh,
        connected_s, stop_reason, external_id,
    ) = row  # fmt: skip
    return {
        "id": identity,
        "state": state,
        "installationName": installation_name,
        "chargerName": charger_name,
        "userName": user_name,
        "startedAt": _instant(started_at),
        "endedAt": _instant(ended_at),
        "registeredAt": _instant(registered_at),
        "energyKwh": None if energy_wh is None else f"{energy_wh / 1000:.3f}",
        "connectedSeconds": connected_s,
        "stopReason": stop_reason,
        "externalId": external_id,
    }


def _instant(stored: str | None) -> str | None:
    """RFC 3339 of what is stored: `2026-03-01 12:00:00+00:00`."""
    return None if stored is None else f"{stored[:10]}T{stored[11:-6]}Z"
