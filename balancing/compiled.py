"""Functions over arrays that run as machine code, and the arrays' types.

Machine code is made at the first call and kept on disk, beside the source where that can be written to. It is kept under
the hash of all its sources, because a function's machine code contains that of the functions it calls.
"""

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

F = TypeVar("F", bound=Callable[..., object])

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_HERE: Final = Path(__file__).parent
_NAME: Final = "machine-code-"


SOURCES: Final = (
    "compiled", "phases", "arrays", "problem", "filling", "objective", "room", "chains", "pricing", "gathering", "shaking", "admission",
    "relaxation", "solution", "branching", "search", "answer",
)  # fmt: skip
"""What becomes machine code, and the constants in it."""


def _version() -> str:
    sources = hashlib.sha256()
    for name in SOURCES:
        sources.update((_HERE / f"{name}.py").read_bytes())
    return sources.hexdigest()[:16]


def _cache() -> Path | None:
    """Where machine code is kept; None where nothing can be written. What other versions of the sources left is removed."""
    for folder in (_HERE / "__pycache__", Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "lade"):
        found = folder / f"{_NAME}{_version()}"
        try:
            if not found.exists():
                for old in folder.glob(f"{_NAME}*"):
                    shutil.rmtree(old, ignore_errors=True)
                found.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(found, os.W_OK):
            return found
    return None


_CACHE: Final = _cache()
if _CACHE is not None and not numba.config.CACHE_DIR:  # type: ignore[attr-defined]  # made from NUMBA_CACHE_DIR at its import
    numba.config.CACHE_DIR = str(_CACHE)  # type: ignore[attr-defined]


def is_kept() -> bool:
    """Whether machine code lies on disk, so that it is there in a moment."""
    return _CACHE is not None and any(_CACHE.rglob("*.nbc"))


def compiled(function: F) -> F:
    """The function as machine code; it lets other threads run meanwhile.

    `NUMBA_DISABLE_JIT=1` runs it as plain Python, to be stepped through.
    """
    return cast("F", numba.njit(cache=_CACHE is not None, nogil=True, error_model="numpy")(function))


def in_place(function: F) -> F:
    """The same for a function that makes no array: references are not counted, which would cost more than its work."""
    options = {"cache": _CACHE is not None, "nogil": True, "error_model": "numpy", "_nrt": False}
    return cast("F", numba.njit(**options)(function))  # type: ignore[call-overload]  # the last one is for the bold


@in_place
def copy_into(target: npt.NDArray[np.generic], source: npt.NDArray[np.generic]) -> None:
    """The target has the source's numbers; `target[:] = source` would make an array between."""
    for place in range(len(source)):
        target[place] = source[place]
