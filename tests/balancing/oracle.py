"""The exact answer of a small fixed-phase instance by HiGHS: admission as integer programs, then leximin as programs.

Plain sums only, and credits so chosen that one served set is best; it reads the JSON document by itself.
"""

from typing import Any

import highspy

from tests.balancing.checker import ORDER, _car_phases, _is_it, _paths, _reserved

Document = dict[str, Any]
STILL = 1e-7


def _solver() -> Any:
    solver = highspy.Highs()  # type: ignore[no-untyped-call]  # the library has no types
    solver.silent()
    return solver


class Oracle:
    """One instance as rows over chargers that want current, each with its only mode."""

    def __init__(self, instance: Document) -> None:
        paths = _paths(instance)
        self.chargers: list[Document] = []
        self.low: list[float] = []
        self.high: list[float] = []
        lines: list[list[str]] = []
        for charger in instance["chargers"]:
            caps = [charger["max_current"], charger["vehicle"]["max_current"]]
            used = self._lines(instance, charger)
            if len(used) == (2 if _is_it(instance) else 1):
                caps.append(charger["max_current_1p"])
            high = float(min(cap for cap in caps if cap is not None))
            if charger["state"] in ("charging", "queued") and charger["min_current"] <= high:
                self.chargers.append(charger)
                self.low.append(float(charger["min_current"]))
                self.high.append(high)
                lines.append(used)
        self.rows: list[tuple[list[int], float]] = []
        for circuit in instance["circuits"]:
            held = _reserved(instance, circuit["id"])
            for index, line in enumerate(ORDER):
                members = [
                    number
                    for number, charger in enumerate(self.chargers)
                    if circuit["id"] in paths[charger["circuit"]] and line in lines[number]
                ]
                other = max(0.0, circuit["other_load"][index])
                self.rows.append((members, max(0.0, circuit["fuse"][index] - other - held[index])))

    @staticmethod
    def _lines(instance: Document, charger: Document) -> list[str]:
        phases = _car_phases(charger)
        if _is_it(instance):
            phases = 3 if phases == 3 else 2
        return list(charger["wiring"][:phases])

    def served(self) -> list[int]:
        """Class by class the most cars, then the most credit."""
        model = _solver()
        on = [model.addBinary() for _ in self.chargers]
        for members, capacity in self.rows:
            if members:
                model.addConstr(sum(self.low[m] * on[m] for m in members) <= capacity)
        classes = sorted({(c["priority"], c["tier"]) for c in self.chargers}, reverse=True)
        for each in classes:
            members = [n for n, c in enumerate(self.chargers) if (c["priority"], c["tier"]) == each]
            for weight in ([1.0] * len(members), [float(self.chargers[m]["credit"]) for m in members]):
                goal = sum(w * on[m] for w, m in zip(weight, members, strict=True))
                model.maximize(goal)
                best = round(model.getInfo().objective_function_value)
                model.addConstr(goal >= best - 0.5)
        return [number for number, variable in enumerate(on) if model.val(variable) > 0.5]

    def shares(self) -> dict[str, float]:
        """Charger id → its max-min fair share, of the served."""
        free = set(self.served())
        fixed: dict[int, float] = {}
        while free:
            level = self._best_level(free, fixed)
            stuck = [n for n in free if self._most(n, free, fixed, level) <= level + STILL]
            assert stuck, "progressive filling always stops someone"
            for number in stuck:
                fixed[number] = level
                free.discard(number)
        return {self.chargers[number]["id"]: share for number, share in fixed.items()}

    def _model(self, free: set[int], fixed: dict[int, float]) -> tuple[Any, dict[int, Any]]:
        model = _solver()
        current: dict[int, Any] = {}
        for number in sorted(free | set(fixed)):
            weight = self.chargers[number]["weight"]
            amperes = fixed[number] * weight if number in fixed else None
            low, high = (amperes, amperes) if amperes is not None else (self.low[number], self.high[number])
            current[number] = model.addVariable(lb=low, ub=high)
        for members, capacity in self.rows:
            present = [current[m] for m in members if m in current]
            if present:
                model.addConstr(sum(present) <= capacity + 1e-9)
        return model, current

    def _best_level(self, free: set[int], fixed: dict[int, float]) -> float:
        model, current = self._model(free, fixed)
        level = model.addVariable(lb=0, ub=1e4)
        for number in free:
            model.addConstr(current[number] - self.chargers[number]["weight"] * level >= 0)
        model.maximize(level)
        return float(model.getInfo().objective_function_value)

    def _most(self, number: int, free: set[int], fixed: dict[int, float], level: float) -> float:
        """The largest share of one car while no other falls below the level."""
        model, current = self._model(free, fixed)
        for other in free:
            model.addConstr(current[other] >= (level - 1e-10) * self.chargers[other]["weight"])
        model.maximize(1.0 * current[number])
        return float(model.getInfo().objective_function_value) / float(self.chargers[number]["weight"])
