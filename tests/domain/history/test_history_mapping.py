"""What one line of a file of historical sessions says."""

from datetime import UTC, datetime
from typing import Any

import pytest

from domain.history.history_mapping import HistoricSession, LineReader, MappingError, Rejection, mapping_of

HEADER = "id;garage;who;box;from;to;kwh"


def _content(**changes: dict[str, object]) -> dict[str, Any]:
    content: dict[str, Any] = {
        "source": "test",
        "file": {
            "delimiter": ";",
            "decimal_sign": ",",
            "thousands_sign": ".",
            "date_format": "%d.%m.%Y %H:%M",
            "time_zone": "Europe/Oslo",
            "null_words": ["", "NA"],
        },
        "session": {"key": "{id}", "started_at": "from", "ended_at": "to", "energy": "kwh"},
        "installation": {
            "key": "{garage}",
            "name": "Garage {garage}",
            "country_code": "NO",
            "currency": "NOK",
            "network_type": "TN_3_PHASE",
            "breaker_a": 63,
        },
        "person": {"key": "{who}", "name": "{who}"},
        "charger": {"key": ["{box}", "{who}"], "name": ["Box {box}", "{who}"]},
    }
    for part, values in changes.items():
        content[part] |= values
    return content


def _reader(**changes: dict[str, object]) -> LineReader:
    return LineReader(mapping_of(_content(**changes)), HEADER)


def _session(line: str, **changes: dict[str, object]) -> HistoricSession:
    found = _reader(**changes).read(2, line)
    assert isinstance(found, HistoricSession), found
    return found


def _reason(line: str, **changes: dict[str, object]) -> str:
    found = _reader(**changes).read(7, line)
    assert isinstance(found, Rejection)
    assert found.line == 7
    return found.reason


def test_a_line_says_who_charged_where_when_and_how_much() -> None:
    """Keys carry the source and the site, energy is exact, times are instants."""
    one = _session("1;A;Åse;NA;21.12.2018 10:20;21.12.2018 10:23;1.234,567")
    assert one.key == "test:1"
    assert (one.installation.key, one.installation.name) == ("test:A", "Garage A")
    assert (one.charger.key, one.charger.name) == ("test:A:Åse", "Åse")
    assert one.person is not None
    assert one.person.key == "test:Åse"
    assert one.started_at == datetime(2018, 12, 21, 9, 20, tzinfo=UTC)
    assert one.ended_at == datetime(2018, 12, 21, 9, 23, tzinfo=UTC)
    assert one.energy_wh == 1_234_567


def test_of_several_templates_the_first_whose_columns_say_something_is_taken() -> None:
    """A shared charger has its own name, a private one its person's."""
    assert _session("1;A;Åse;S7;21.12.2018 10:20;NA;1").charger.name == "Box S7"


def test_a_line_without_person_is_a_session_of_nobody_known() -> None:
    """It is kept: totals by person must equal totals by charger."""
    assert _session("1;A;NA;S7;21.12.2018 10:20;NA;1").person is None


@pytest.mark.parametrize(
    ("start", "end", "began", "ended"),
    [
        ("27.10.2019 01:30", "27.10.2019 03:30", "2019-10-26 23:30", "2019-10-27 02:30"),
        ("27.10.2019 02:10", "27.10.2019 02:40", "2019-10-27 00:10", "2019-10-27 00:40"),
        ("27.10.2019 02:40", "27.10.2019 02:10", "2019-10-27 00:40", "2019-10-27 01:10"),
        ("31.03.2019 02:30", "31.03.2019 04:00", "2019-03-31 01:30", "2019-03-31 02:00"),
    ],
)
def test_hours_that_come_twice_or_never_are_read_as_documented(start: str, end: str, began: str, ended: str) -> None:
    """The repeated hour is its first time round unless the session would end before it starts; the skipped hour follows the gap."""
    one = _session(f"1;A;B;NA;{start};{end};1")
    assert f"{one.started_at:%Y-%m-%d %H:%M}" == began
    assert f"{one.ended_at:%Y-%m-%d %H:%M}" == ended


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1;A;B;NA;21.12.2018 10:20;NA", "6 columns, where the header has 7"),
        ("1;A;B;NA;21.12.2018 10:20;NA;1;2", "8 columns, where the header has 7"),
        ("1;A;B;NA;NA;NA;1", "from: nothing there, a session needs its start"),
        ("1;A;B;NA;2018-12-21 10:20;NA;1", "from: '2018-12-21 10:20' is no date and time in the form %d.%m.%Y %H:%M"),
        ("1;A;B;NA;30.02.2019 10:20;NA;1", "from: '30.02.2019 10:20' is no date and time in the form %d.%m.%Y %H:%M"),
        ("1;A;B;NA;21.12.1918 10:20;NA;1", "from: the year of '21.12.1918 10:20' cannot be"),
        ("1;A;B;NA;21.12.2018 10:20;21.12.2018 10:19;1", "to: '21.12.2018 10:19' is before the start 21.12.2018 10:20"),
        ("1;A;B;NA;21.12.2018 10:20;NA;NA", "kwh: nothing there, a session needs its energy (0 is fine)"),
        ("1;A;B;NA;21.12.2018 10:20;NA;-1", "kwh: '-1' is below 0"),
        ("1;A;B;NA;21.12.2018 10:20;NA;1e3", "kwh: '1e3' is no number with the decimal sign ','"),
        ("1;A;B;NA;21.12.2018 10:20;NA;NaN", "kwh: 'NaN' is no number with the decimal sign ','"),
        ("1;A;B;NA;21.12.2018 10:20;NA;9999999", "kwh: '9999999' kWh is more than any charge"),
        ("1;A;NA;NA;21.12.2018 10:20;NA;1", "box and who: nothing there, so the charger is not known"),
        ("NA;A;B;NA;21.12.2018 10:20;NA;1", "id: nothing there, so the session is not known"),
        ("1;A;B\x00;NA;21.12.2018 10:20;NA;1", "who: 'B\\x00' cannot be read as utf-8"),
        ("1;A;B\udce6;NA;21.12.2018 10:20;NA;1", "who: 'B\\udce6' cannot be read as utf-8"),
        ('1;A;"B;NA;21.12.2018 10:20;NA;1', "3 columns, where the header has 7"),
    ],
)
def test_a_line_that_makes_no_sense_is_rejected_in_the_fields_words(line: str, reason: str) -> None:
    """The reason names the column and what stands there."""
    assert _reason(line) == reason


def test_other_signs_units_and_dates_are_a_matter_of_the_mapping() -> None:
    """Wh, decimal points and instants with an offset."""
    one = _session(
        "1;A;B;NA;2024-03-31T02:30:00+02:00;NA;1234.5",
        file={"decimal_sign": ".", "thousands_sign": "", "date_format": "iso"},
        session={"energy_unit": "Wh"},
    )
    assert one.started_at == datetime(2024, 3, 31, 0, 30, tzinfo=UTC)
    assert one.energy_wh == 1234


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"file": {"time_zone": "Europe/Trondheim"}}, "is no IANA time zone"),
        ({"file": {"encoding": "latin-99"}}, "is not known here"),
        ({"file": {"delimiter": "::"}}, "delimiter"),
        ({"file": {"decimal_sign": "."}}, "cannot be the same"),
        ({"file": {"colour": "red"}}, "colour"),
        ({"session": {"energy_unit": "J"}}, "Wh, kWh, MWh"),
        ({"session": {"energy": "El_kWh"}}, "The file has no column 'El_kWh'"),
    ],
)
def test_a_mapping_that_cannot_work_says_what_to_change(changes: dict[str, dict[str, object]], words: str) -> None:
    """Nothing is read with it."""
    with pytest.raises(MappingError, match=words):
        _reader(**changes)
