"""Which facts hold for which kind of charger, and what an operator is told about a table that cannot be used."""

from pathlib import Path

import pytest

from domain.equipment.capabilities import DEFAULT, Capabilities, ChargerModels, Kind, ModelsError, RateUnit

SHIPPED = """
[[charger]]
vendor = "Volt*"
takes_triggers = false
write_interval_s = 60

[[charger]]
vendor = "volt works"
model = "Home ?"
firmware = "1.*"
write_interval_s = 600
"""


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Kind(), DEFAULT),
        (Kind("Ampere AG", "Home 1", "1.0"), DEFAULT),
        (Kind("VOLTAGE", "X", ""), Capabilities(takes_triggers=False, write_interval_s=60)),
        (Kind("Volt Works", "Home 2", "1.4.2"), Capabilities(takes_triggers=False, write_interval_s=600)),
        (Kind("Volt Works", "Home 2", "2.0"), Capabilities(takes_triggers=False, write_interval_s=60)),
    ],
)
def test_a_row_holds_for_whom_it_names_and_later_rows_go_first(kind: Kind, expected: Capabilities) -> None:
    """Vendor, model and firmware are patterns in any case; what a row does not say stays as it was."""
    assert ChargerModels(SHIPPED).of(kind) == expected


def test_what_a_charger_says_goes_before_the_table_and_the_operator_before_both() -> None:
    """The default, the shipped table, what was learnt, the operator's own table: each before the one before it."""
    models = ChargerModels(SHIPPED, own='[[charger]]\nvendor = "voltage"\nrate_unit = "A"')
    learnt = {"takes_triggers": True, "rate_unit": "W", "most_stack_level": 0}
    found = models.of(Kind("Voltage", "X"), learnt)
    assert (found.takes_triggers, found.rate_unit, found.most_stack_level) == (True, RateUnit.AMPERE, 0)


def test_what_was_learnt_by_another_version_is_left_out() -> None:
    """Facts that are not understood any more change nothing and stop nobody."""
    assert ChargerModels("").of(Kind("A"), {"unheard_of": 1, "takes_triggers": False}) == DEFAULT


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("[[charger", "it is not TOML"),
        ("[model]\na = 1", "only [[charger]] tables are understood, not model"),
        ('[[charger]]\nvendor = "A"\nping = 3', "charger 1: there is no ping; known are"),
        ("[[charger]]\n[[charger]]\nping_every_s = -1", "charger 2: ping_every_s is a whole number from 0"),
        ("[[charger]]\nsilent_after_s = 5", "silent_after_s is a whole number from 60"),
        ("[[charger]]\nping_every_s = true", "ping_every_s is a whole number"),
        ('[[charger]]\nrate_unit = "kW"', """rate_unit is "A" or "W", not 'kW'"""),
        ("[[charger]]\ntakes_triggers = 1", "takes_triggers is true or false, not 1"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_with_its_place(tmp_path: Path, table: str, words: str) -> None:
    """The operator learns which file, which charger and which fact."""
    own = tmp_path / "charger-models.toml"
    own.write_text(table)
    with pytest.raises(ModelsError) as caught:
        ChargerModels.load(own)
    assert str(own) in str(caught.value)
    assert words in str(caught.value)


def test_without_a_table_of_ones_own_the_shipped_one_holds(tmp_path: Path) -> None:
    """A file that is not there is no fault."""
    assert ChargerModels.load(tmp_path / "charger-models.toml").of(Kind("Nobody")) == DEFAULT
