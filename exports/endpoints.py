"""`/exports/{id}?expires=…&signature=…`: a finished file, for whoever has its link."""

from pathlib import Path
from urllib.parse import quote
from uuid import UUID

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from domain.clock import Clock
from domain.reporting.export_jobs import download
from domain.roles import ExportFormat
from exports.links import ExportLinks

MEDIA_TYPES = {
    ExportFormat.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ExportFormat.CSV: "text/csv; charset=utf-8",
    ExportFormat.PDF: "application/pdf",
}
_HEADERS = {"Cache-Control": "private, no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
_NOT_HERE = "There is no such file. Copy the whole link, or ask for the file again.\n"
_OVER = "This link is over: files are kept for a day. Ask for the file again.\n"


def file_of(folder: Path, export_id: UUID, kind: ExportFormat) -> Path:
    """Where a file's bytes are kept."""
    return folder / f"{export_id}.{kind.lower()}"


def export_routes(links: ExportLinks, *, folder: Path, clock: Clock) -> list[Route]:
    """The route that files are fetched from; `folder` is where they are kept."""

    async def fetch(request: Request) -> Response:
        """404 for a link that is none of ours, 410 for one whose time is over, else the file."""
        export_id, expires = _uuid(request.path_params["export_id"]), request.query_params.get("expires", "")
        signature = request.query_params.get("signature", "")
        if export_id is None or not (expires.isascii() and expires.isdecimal() and len(expires) < 16):
            return PlainTextResponse(_NOT_HERE, 404, _HEADERS)
        if not links.is_genuine(export_id, int(expires), signature):
            return PlainTextResponse(_NOT_HERE, 404, _HEADERS)
        found = None
        if clock.now().timestamp() < int(expires):
            found = await download(export_id, now=clock.now())
        path = None if found is None else file_of(folder, export_id, found.format)
        if found is None or path is None or not path.is_file():
            return PlainTextResponse(_OVER, 410, _HEADERS)
        plain = found.file_name.encode("ascii", "ignore").decode().replace('"', "")
        disposition = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(found.file_name)}"
        headers = {**_HEADERS, "Content-Disposition": disposition}
        return FileResponse(path, headers=headers, media_type=MEDIA_TYPES[found.format])

    return [Route("/exports/{export_id}", fetch, methods=["GET"], name="export")]


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
