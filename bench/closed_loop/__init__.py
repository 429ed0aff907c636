"""The whole time layer by the currents that really flow, on written days and days by chance: `python -m bench.closed_loop`."""
