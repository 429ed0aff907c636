"""GraphiQL at the GraphQL address, with ready operations; served whole from here: a garage may have no internet."""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

import orjson
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

_ROOM: Final = Path(__file__).parent
_TYPES: Final = {".js": "text/javascript", ".css": "text/css"}
_NONCE: Final = "{nonce}"
_READY: Final = "{ready}"


@dataclass(frozen=True, slots=True)
class Asset:
    """A script or style sheet of the page."""

    content: bytes
    media_type: str
    digest: str


@dataclass(frozen=True, slots=True)
class ReadyOperation:
    """An operation that the page has in a tab, and the variables that the page fills in by their names."""

    query: str
    variables: tuple[str, ...]


class Explorer:
    """The page and its assets, read once."""

    def __init__(self) -> None:
        self._assets: Final = assets()
        page = (_ROOM / "explorer.html").read_text(encoding="utf-8")
        ready = orjson.dumps([{"query": one.query, "variables": one.variables} for one in ready_operations()]).decode()
        page = page.replace(_READY, ready.replace("<", "\\u003c"))
        # An address with the content's digest may be kept for ever: a new content has another.
        self._page: Final = re.sub(
            r"(?<=graphql/assets/)[\w.-]+", lambda name: f"{name[0]}?v={self._assets[name[0]].digest}", page
        )

    def page(self) -> Response:
        """The page, with a policy by which nothing but its own files is loaded and run."""
        nonce = secrets.token_urlsafe(16)
        policy = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self';"
            # The fonts and cursors are inside GraphiQL's style sheet.
            " font-src data:; img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
        )
        headers = {
            "Content-Security-Policy": policy,
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
        }
        return HTMLResponse(self._page.replace(_NONCE, nonce), headers=headers)

    async def asset(self, request: Request) -> Response:
        """A file of the page; 404 for any other name, 304 when the browser has it."""
        asset = self._assets.get(request.path_params["name"])
        if asset is None:
            return Response("There is no such file.\n", 404, media_type="text/plain")
        is_versioned = request.query_params.get("v") == asset.digest
        etag = f'"{asset.digest}"'
        headers = {
            "Cache-Control": "public, max-age=31536000, immutable" if is_versioned else "no-cache",
            "ETag": etag,
            "X-Content-Type-Options": "nosniff",
        }
        if etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(asset.content, headers=headers, media_type=asset.media_type)


def assets() -> Mapping[str, Asset]:
    """The scripts and style sheets by name: those of GraphiQL, as published, and ours."""
    paths = (*(_ROOM / "graphiql").iterdir(), _ROOM / "explorer.js", _ROOM / "explorer.css")
    return {path.name: _asset(path) for path in paths if path.suffix in _TYPES}


def _asset(path: Path) -> Asset:
    content = path.read_bytes()
    return Asset(content, _TYPES[path.suffix], sha256(content).hexdigest()[:16])


def ready_operations() -> list[ReadyOperation]:
    """Those of operations.graphql in its order, each with the comment above it; empty lines part them."""
    _, *texts = (_ROOM / "operations.graphql").read_text(encoding="utf-8").strip().split("\n\n")
    return [ReadyOperation(text, tuple(re.findall(r"\$(\w+):", text))) for text in texts]
