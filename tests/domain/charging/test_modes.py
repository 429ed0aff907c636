"""The operating mode and the grid lines, each from its facts."""

import pytest

from domain.charging.modes import ModeFacts, line_currents, operating_mode
from domain.observations import ConnectorStatus as S
from domain.roles import OperatingMode as M
from domain.roles import PhaseRotation as R


@pytest.mark.parametrize(
    ("status", "has_session", "is_paused", "allocated_a", "mode"),
    [
        (S.AVAILABLE, False, False, None, M.DISCONNECTED),
        (S.AVAILABLE, True, False, 16.0, M.DISCONNECTED),
        (S.RESERVED, False, False, None, M.DISCONNECTED),
        (S.PREPARING, False, False, None, M.AWAITING_AUTHORIZATION),
        (S.PREPARING, True, False, None, M.CHARGING),
        (S.PREPARING, True, False, 0.0, M.AWAITING_CURRENT),
        (S.CHARGING, True, False, 16.0, M.CHARGING),
        (S.CHARGING, True, False, 0.0, M.CHARGING),
        (S.CHARGING, True, True, 0.0, M.PAUSED),
        (S.SUSPENDED_EVSE, True, False, 0.0, M.AWAITING_CURRENT),
        (S.SUSPENDED_EVSE, True, True, 0.0, M.PAUSED),
        (S.SUSPENDED_EVSE, False, False, None, M.AWAITING_AUTHORIZATION),
        (S.SUSPENDED_EV, True, False, 16.0, M.FINISHED),
        (S.SUSPENDED_EV, True, False, 0.0, M.AWAITING_CURRENT),
        (S.FINISHING, False, False, None, M.FINISHED),
        (S.FAULTED, True, False, 16.0, M.FAULTED),
        (S.UNAVAILABLE, False, False, None, M.UNKNOWN),
        (S.UNKNOWN, False, False, None, M.UNKNOWN),
        (S.UNKNOWN, True, False, None, M.CHARGING),
    ],
)
def test_modes(status: S, has_session: bool, is_paused: bool, allocated_a: float | None, mode: M) -> None:
    """One mode for every combination, never an exception."""
    assert operating_mode(ModeFacts(status, has_session, is_paused, allocated_a)) is mode


@pytest.mark.parametrize(
    ("rotation", "lines"),
    [
        (R.RST, (10.0, 20.0, 30.0)),
        (R.STR, (30.0, 10.0, 20.0)),
        (R.TRS, (20.0, 30.0, 10.0)),
        (R.RTS, (10.0, 30.0, 20.0)),
        (R.SRT, (20.0, 10.0, 30.0)),
        (R.TSR, (30.0, 20.0, 10.0)),
        (R.L2, (0.0, 10.0, 0.0)),
        (R.L1L2, (10.0, 10.0, 0.0)),
        (R.L3L1, (10.0, 0.0, 10.0)),
    ],
)
def test_terminals_are_mapped_to_grid_lines(rotation: R, lines: tuple[float, float, float]) -> None:
    """RST names, in terminal order, the lines that the terminals hang on."""
    assert line_currents((10.0, 20.0, 30.0), rotation) == lines
