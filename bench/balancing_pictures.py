"""The pictures of docs/balancing.md, from real decisions: `python -m bench.balancing_pictures` draws them anew.

`decision.svg` is one answer of `allocate`; `jump.svg` is a written day under the real controller, second by second.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from balancing.allocate import allocate
from balancing.circuit import LINES, NO_CURRENT, ChargerInput, Circuit, Instance, Line, Switching, Vehicle
from bench.closed_loop.scenario import scenarios
from bench.closed_loop.site import Site

FOLDER: Final = Path(__file__).parent.parent / "docs" / "pictures"
DAY: Final = "07_household_jumps"

COLOURS: Final = ("#4269d0", "#efb118", "#3ca951", "#a463f2", "#ff8ab7", "#6cc5b0")
OTHER: Final = "#b8bcc2"
FUSE: Final = "#d62728"
INK: Final = "#24292f"


@dataclass
class Canvas:
    """An SVG picture, element by element; a white ground, so that it is read on dark pages too."""

    width: int
    height: int
    title: str
    parts: list[str] = field(default_factory=list)

    def box(self, x: float, y: float, width: float, height: float, colour: str) -> None:
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>')

    def line(self, x1: float, y1: float, x2: float, y2: float, colour: str, *, width: float = 1.0) -> None:
        self.parts.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width}"/>'
        )

    def area(self, points: Sequence[tuple[float, float]], colour: str) -> None:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.parts.append(f'<polygon points="{path}" fill="{colour}"/>')

    def text(self, x: float, y: float, words: str, *, anchor: str = "start", colour: str = INK, size: int = 12) -> None:
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" font-size="{size}">{words}</text>'
        )

    def svg(self) -> str:
        """The file's text."""
        body = "\n".join(self.parts)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" role="img" '
            f'font-family="system-ui, sans-serif">\n<title>{self.title}</title>\n'
            f'<rect width="{self.width}" height="{self.height}" fill="white"/>\n{body}\n</svg>\n'
        )


def evening() -> Instance:
    """Six cars come home to a garage: a row on 32 A behind a main breaker of 50 A, with a household that leans on L1."""
    first, second, third = LINES
    turned = ((first, second, third), (second, third, first), (third, first, second))
    cars = (
        ("A", "row", turned[0], Switching.NONE, 3, 16.0),
        ("B", "row", turned[1], Switching.NONE, 1, 32.0),
        ("C", "row", turned[2], Switching.NONE, 1, 32.0),
        ("D", "main", turned[0], Switching.ANY_PHASE, 1, 32.0),
        ("E", "main", turned[1], Switching.NONE, 3, 16.0),
        ("F", "main", turned[2], Switching.NONE, 2, 16.0),
    )
    return Instance(
        "evening",
        (
            Circuit("main", None, (50.0, 50.0, 50.0), (14.0, 6.0, 3.0)),
            Circuit("row", "main", (32.0, 32.0, 32.0), NO_CURRENT),
        ),
        tuple(
            ChargerInput(name, circuit, wiring, switching, vehicle=Vehicle(phases, most))
            for name, circuit, wiring, switching, phases, most in cars
        ),
    )


def decision() -> str:
    """One answer: what each car loads on which line, and what stops it."""
    instance = evening()
    answer = allocate(instance)
    canvas = Canvas(760, 360, "One decision of the balancer: six cars behind two fuses")
    per_ampere, ground = 5.0, 320.0
    circuit_of = {charger.id: charger.circuit for charger in instance.chargers}
    colour_of = {charger.id: COLOURS[place] for place, charger in enumerate(instance.chargers)}
    for place, (circuit, x) in enumerate((("main", 40.0), ("row", 250.0))):
        fuse, other = instance.circuits[place].fuse, instance.circuits[place].other_load
        canvas.text(x, 30, f"{circuit}, {fuse[0]:.0f} A")
        for line in LINES:
            left, top = x + 55 * line.place, ground
            if other[line.place]:
                top = _stack(canvas, left, top, other[line.place], per_ampere, OTHER, "")
            for setpoint in answer.setpoints:
                if line in setpoint.phases and (circuit == "main" or circuit_of[setpoint.charger] == circuit):
                    top = _stack(
                        canvas, left, top, setpoint.current, per_ampere, colour_of[setpoint.charger], setpoint.charger
                    )
            limit = ground - per_ampere * fuse[line.place]
            canvas.line(left - 4, limit, left + 49, limit, FUSE, width=2)
            canvas.text(left + 22, ground + 18, line.value, anchor="middle")
    for place, setpoint in enumerate(answer.setpoints):
        y = 60.0 + 36 * place
        canvas.box(450, y - 12, 14, 14, colour_of[setpoint.charger])
        at = f"{setpoint.limiting_circuit} {setpoint.limiting_line}" if setpoint.limiting_circuit else ""
        canvas.text(472, y, f"{setpoint.charger}: {setpoint.current:.1f} A on {' '.join(setpoint.phases)}")
        canvas.text(472, y + 15, f"{setpoint.limit.value} {at}".strip(), colour="#6e7781", size=11)
    canvas.box(450, 264, 14, 14, OTHER)
    canvas.text(472, 276, "the rest of the building")
    canvas.line(450, 300, 464, 300, FUSE, width=2)
    canvas.text(472, 304, "the fuse")
    return canvas.svg()


def _stack(canvas: Canvas, x: float, top: float, current: float, per_ampere: float, colour: str, name: str) -> float:
    """The top after one more box."""
    height = current * per_ampere
    canvas.box(x, top - height, 45, height - 1, colour)
    canvas.text(x + 22, top - height / 2 + 4, f"{name} {current:.1f}".strip(), anchor="middle", size=11)
    return top - height


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of the main circuit: the household, and what each car draws there, ampere."""

    household: float
    draws: tuple[float, ...]


def lived() -> tuple[list[Moment], float, list[str]]:
    """Line L2 of a day on which a household's load jumps, second by second; its fuse and its cars."""
    scenario = next(one for one in scenarios() if one.name == DAY)
    site = Site(scenario, seed=1)
    moments = []
    while site.now_s < scenario.minutes * 60:
        site.second()
        draws = []
        for charger in site.chargers:
            loads = charger.loads(charger.car.draw_a) if charger.car is not None else []
            draws.append(sum(current for current, lines in loads if Line.L2 in lines))
        moments.append(Moment(site.household("main")[1], tuple(draws)))
    return moments, scenario.circuits[0].fuse_a[1], [charger.name for charger in scenario.chargers]


def jump() -> str:
    """A day: what flows on one line, by whom, and the fuse."""
    moments, fuse, names = lived()
    canvas = Canvas(760, 330, "A household's load jumps, and the cars make room")
    left, ground, per_ampere, per_s = 46.0, 290.0, 6.0, 690 / len(moments)
    floor = [0.0] * len(moments)
    layers = [[m.household for m in moments], *([m.draws[n] for m in moments] for n in range(len(names)))]
    for layer, colour in zip(layers, (OTHER, *COLOURS), strict=False):
        roof = [low + more for low, more in zip(floor, layer, strict=True)]
        upper = [(left + per_s * at, ground - per_ampere * value) for at, value in enumerate(roof) if at % 5 == 0]
        lower = [(left + per_s * at, ground - per_ampere * value) for at, value in enumerate(floor) if at % 5 == 0]
        canvas.area([*upper, *reversed(lower)], colour)
        floor = roof
    canvas.line(left, ground - per_ampere * fuse, left + 690, ground - per_ampere * fuse, FUSE, width=2)
    canvas.text(left + 690, ground - per_ampere * fuse - 6, f"fuse {fuse:.0f} A", anchor="end", colour=FUSE)
    for minute in range(0, len(moments) // 60 + 1, 10):
        canvas.text(left + per_s * 60 * minute, ground + 18, f"{minute} min", anchor="middle", size=11)
    for ampere in range(0, 40, 5):
        canvas.text(left - 8, ground - per_ampere * ampere + 4, f"{ampere} A", anchor="end", size=11)
    for place, (name, colour) in enumerate(
        zip(("household", *(f"car {name}" for name in names)), (OTHER, *COLOURS), strict=False)
    ):
        canvas.box(left + 170 * place, 10, 14, 14, colour)
        canvas.text(left + 20 + 170 * place, 22, f"{name} on L2")
    return canvas.svg()


PICTURES: Final = {"decision.svg": decision, "jump.svg": jump}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, draw in PICTURES.items():
        (FOLDER / name).write_text(draw())
        print(FOLDER / name)


if __name__ == "__main__":
    main()
