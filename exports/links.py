"""Links to files that work without signing in, until their time is over: whoever has one may fetch the file."""

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

_PURPOSE = b"lade exports v1"
"""A key of its own for each purpose, so that a signature for one is none for another."""


@dataclass(frozen=True, slots=True)
class ExportLinks:
    """Makes and recognises links below `public_url`."""

    secret: str = field(repr=False)
    public_url: str

    def url(self, export_id: UUID, expires_at: datetime) -> str:
        """The link; it works until `expires_at`, to the second."""
        expires = int(expires_at.timestamp())
        return f"{self.public_url.rstrip('/')}/exports/{export_id}?expires={expires}&signature={self._signature(export_id, expires)}"

    def is_genuine(self, export_id: UUID, expires: int, signature: str) -> bool:
        """Whether we made a link with these parts; whether its time is over is another question."""
        return hmac.compare_digest(self._signature(export_id, expires).encode(), signature.encode())

    def _signature(self, export_id: UUID, expires: int) -> str:
        key = hmac.digest(self.secret.encode(), _PURPOSE, hashlib.sha256)
        return hmac.new(key, f"{export_id}:{expires}".encode(), hashlib.sha256).hexdigest()
