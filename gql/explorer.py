"""The page that people see at the GraphQL address; all of it is ours, so that it works in a garage without internet."""

import base64
import hashlib
from pathlib import Path
from typing import Final

PAGE: Final = (Path(__file__).parent / "explorer.html").read_text(encoding="utf-8")


def _digest(tag: str) -> str:
    inline = PAGE.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
    return "'sha256-" + base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode() + "'"


PAGE_HEADERS: Final = {
    "Content-Security-Policy": (
        f"default-src 'none'; script-src {_digest('script')}; style-src {_digest('style')};"
        " connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}
