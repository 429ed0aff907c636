"""What nobody expected is masked: the caller gets an id, the operator the trace."""

import httpx
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.asgi import create_app


async def broken(_request: Request) -> Response:
    raise LookupError("words of a person")


async def test_a_surprise_is_masked() -> None:
    """The answer has the id that the log lines have, and nothing of the error."""
    transport = httpx.ASGITransport(create_app([Route("/", broken)]), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://lade") as client:
        answer = await client.get("/", headers={"x-request-id": "request-0001"})
    assert answer.status_code == 500
    assert answer.json() == {
        "error": "INTERNAL",
        "message": "Something went wrong here.",
        "correlationId": "request-0001",
    }
