"""The data folder of a portal, as in tests of a whole one."""

from tests.live.conftest import home as home
