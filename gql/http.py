"""GraphQL over HTTP: POST with JSON, GET for queries, a page for people (GraphQL over HTTP specification); events by gql.sse."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson
from graphql import OperationType
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from gql.engine import Engine, RefusedError, Request
from gql.errors import Code, EdgeError, body_of
from gql.explorer import Explorer
from gql.limits import MAX_BODY_BYTES, MAX_IMPORT_BODY_BYTES
from gql.origins import Origins

GRAPHQL_JSON: Final = "application/graphql-response+json"
JSON: Final = "application/json"
EVENT_STREAM: Final = "text/event-stream"

Stream = Callable[[Request, str | None, str, str | None], Response]
"""The response that streams what that operation tells, for the holder of a token, at an address, traced within a `traceparent`."""

_STATUS: Final[Mapping[str, int]] = {Code.UNAUTHENTICATED: 401, Code.RATE_LIMITED: 429, Code.INTERNAL: 500}
"""HTTP status of an operation that did not begin, by its error's code; 400 otherwise."""


class _HttpError(Exception):
    """A request that is no GraphQL request."""

    def __init__(
        self, status: int, message: str, *, code: Code = Code.BAD_USER_INPUT, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error = EdgeError(message, code=code)
        self.headers = dict(headers or {})


class HttpEndpoint:
    """Answers HTTP requests at the GraphQL address."""

    def __init__(self, engine: Engine, origins: Origins, explorer: Explorer, *, stream: Stream) -> None:
        self._engine = engine
        self._origins = origins
        self._explorer = explorer
        self._stream = stream

    async def answer(self, request: HttpRequest) -> Response:
        """The response; trouble in it is GraphQL errors, whatever the status."""
        if request.method == "GET" and _wants_page(request):
            return self._explorer.page()
        try:
            return await self._answer(request)
        except _HttpError as error:
            return _response(request, [body_of(error.error)], error.status, error.headers)
        except RefusedError as error:
            return _refusal(request, error.bodies)
        except EdgeError as error:
            return _refusal(request, [body_of(error)])

    async def _answer(self, request: HttpRequest) -> Response:
        self._check_origin(request)
        asked = _from_query(request) if request.method == "GET" else _from_body(await self._body(request))
        token, address = _token(request), _address(request)
        caller = await self._engine.caller(token, address=address)
        if EVENT_STREAM in _accepted(request) and self._wants_stream(request, asked):
            return self._stream(asked, token, address, request.headers.get("traceparent"))
        ready = self._engine.ready(asked)
        if request.method == "GET" and ready.operation.kind is not OperationType.QUERY:
            raise _HttpError(405, "Only queries may be sent with GET: POST this operation.", headers={"Allow": "POST"})
        content = await self._engine.run(ready, caller, traceparent=request.headers.get("traceparent"))
        return Response(content, media_type=_media_type(request), headers={"Cache-Control": "no-store"})

    def _wants_stream(self, request: HttpRequest, asked: Request) -> bool:
        """Whether events are all that is accepted, or the operation has more than one result. A mutation by GET is none."""
        accepts_json = JSON in _accepted(request) or GRAPHQL_JSON in _accepted(request)
        try:
            kind = self._engine.ready(asked).operation.kind
        except RefusedError:
            return not accepts_json
        if kind is OperationType.SUBSCRIPTION:
            return True
        return not accepts_json and not (request.method == "GET" and kind is OperationType.MUTATION)

    async def _body(self, request: HttpRequest) -> bytes:
        """The body. Whoever sends a large one shows a valid token first: strangers cannot make us hold it."""
        _check_kind(request)
        length = _length(request)
        is_small = length is not None and length <= MAX_BODY_BYTES
        is_stranger = is_small or await self._engine.claims(_token(request)) is None
        return await _read(request, MAX_BODY_BYTES if is_stranger else MAX_IMPORT_BODY_BYTES)

    def _check_origin(self, request: HttpRequest) -> None:
        if not self._origins.allows(request.headers.get("origin")):
            message = (
                f"Pages of another origin may not call this API; it is at {self._origins.public_url} (LADE_PUBLIC_URL)."
            )
            raise _HttpError(403, message)


def _accepted(request: HttpRequest) -> str:
    return request.headers.get("accept", "*/*")


def _wants_page(request: HttpRequest) -> bool:
    return "text/html" in _accepted(request) and "query" not in request.query_params


def _media_type(request: HttpRequest) -> str:
    accepted = _accepted(request)
    return JSON if JSON in accepted and GRAPHQL_JSON not in accepted else GRAPHQL_JSON


def _refusal(request: HttpRequest, bodies: list[dict[str, Any]]) -> Response:
    extensions = bodies[0]["extensions"]
    status = _STATUS.get(extensions["code"], 400)
    headers = {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status == 429:
        headers["Retry-After"] = str(extensions.get("retryAfterSeconds", 1))
    # A client that knows plain JSON only is told of such trouble with 200 (GraphQL over HTTP, 6.4.1).
    if status == 400 and _media_type(request) == JSON:
        status = 200
    return _response(request, bodies, status, headers)


def _response(request: HttpRequest, bodies: list[dict[str, Any]], status: int, headers: dict[str, str]) -> Response:
    content = orjson.dumps({"errors": bodies})
    return Response(content, status, {**headers, "Cache-Control": "no-store"}, media_type=_media_type(request))


def _token(request: HttpRequest) -> str | None:
    value = request.headers.get("authorization")
    if value is None:
        return None
    return bearer(value)


def bearer(value: str) -> str:
    """The token of an Authorization value. EdgeError (UNAUTHENTICATED) when it is of another scheme."""
    scheme, _, token = value.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise EdgeError("Sign in with `Authorization: Bearer` and an access token.", code=Code.UNAUTHENTICATED)
    return token.strip()


def _address(request: HttpRequest) -> str:
    return request.client.host if request.client else ""


def _check_kind(request: HttpRequest) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JSON:
        # Pages of other sites can make a browser POST forms and plain text without asking us first.
        raise _HttpError(415, "Send the operation as JSON, with `Content-Type: application/json`.")


def _length(request: HttpRequest) -> int | None:
    """How long the body says that it is; None when it does not say."""
    length = request.headers.get("content-length", "")
    return int(length) if length.isdecimal() else None


async def _read(request: HttpRequest, most: int) -> bytes:
    too_large = _HttpError(413, f"The request is larger than {most // 1024} KiB: send less at once.")
    if (_length(request) or 0) > most:
        raise too_large
    content = bytearray()
    try:
        async for chunk in request.stream():
            content += chunk
            if len(content) > most:
                raise too_large
    except ClientDisconnect as error:
        raise _HttpError(400, "The request broke off.") from error
    return bytes(content)


def _from_body(content: bytes) -> Request:
    try:
        asked = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise _HttpError(400, f"The body is no JSON: {error}.") from error
    if isinstance(asked, list):
        raise _HttpError(400, "Batches are not taken here: send each operation in a request of its own.")
    try:
        return request_of(asked)
    except EdgeError as error:
        raise _HttpError(400, error.message) from error


def _from_query(request: HttpRequest) -> Request:
    given = request.query_params
    try:
        variables = orjson.loads(given["variables"]) if given.get("variables") else None
    except orjson.JSONDecodeError as error:
        raise _HttpError(400, f"`variables` is no JSON: {error}.") from error
    asked = {"query": given.get("query"), "variables": variables, "operationName": given.get("operationName") or None}
    try:
        return request_of(asked)
    except EdgeError as error:
        raise _HttpError(400, error.message) from error


def request_of(asked: object) -> Request:
    """The request in a JSON object. EdgeError says which part of it is wrong."""
    if not isinstance(asked, dict):
        raise EdgeError('Send a JSON object: {"query": …, "variables": {…}}.', code=Code.BAD_USER_INPUT)
    query, variables, name = asked.get("query"), asked.get("variables"), asked.get("operationName")
    if not isinstance(query, str) or not query.strip():
        raise EdgeError("`query` is missing: it is the text of the operation.", code=Code.BAD_USER_INPUT)
    if len(query) > MAX_BODY_BYTES:
        message = f"`query` is larger than {MAX_BODY_BYTES // 1024} KiB: put long values into variables."
        raise EdgeError(message, code=Code.BAD_USER_INPUT)
    if variables is not None and not isinstance(variables, dict):
        raise EdgeError("`variables` is a JSON object.", code=Code.BAD_USER_INPUT)
    if name is not None and not isinstance(name, str):
        raise EdgeError("`operationName` is a string.", code=Code.BAD_USER_INPUT)
    return Request(query, variables or {}, name)
