"""Runs a program that cannot outlive the process that asked for it: `python -I -S with_parent.py PARENT_PID PROGRAM ARGS…`.

Linux sends the chosen signal when the *thread* that forked us ends (prctl(2), PR_SET_PDEATHSIG), and keeps the choice over
execve. So the one who asks must be a thread that lives as long as its process: the main thread.
Stands alone: it is executed as a file, before anything of ours could be imported.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_ORPHANED = 3


def main() -> None:
    """Becomes PROGRAM; ends instead when the parent is gone already."""
    parent_pid, program, *arguments = sys.argv[1:]
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
    # The parent may have died between its fork and our prctl; then nobody would ever send the signal.
    if os.getppid() != int(parent_pid):
        sys.exit(_ORPHANED)
    os.execv(program, [program, *arguments])  # noqa: S606  the program is chosen by app.embedded, no shell wanted


if __name__ == "__main__":
    main()
