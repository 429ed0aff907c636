"""Tables that people import: what spreadsheets make of them, and what breaks programs."""

from contextlib import suppress
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.csv_imports import MOST_BYTES, MOST_LINES, Line, RejectedError, read_table, rejected, shown
from domain.errors import ConflictError, ErrorCode, FieldProblem, ValidationError
from domain.roles import ImportAction

COLUMNS = ("email", "externalUserId", "charger", "role", "validFrom", "validTo", "remove")
OSLO = ZoneInfo("Europe/Oslo")


def _read(content: str) -> list[Line]:
    return read_table(content, columns=COLUMNS, needed=["role"])


@pytest.mark.parametrize(
    "content",
    [
        "email,role\na@example.com,USER\n",
        "\ufeffemail,role\r\na@example.com,USER\r\n",
        "E-Mail;Role\na@example.com;USER",
        '"e_mail","ROLE"\n"a@example.com","USER"\n\n\n',
        "role,email\r USER , a@example.com ",
        "\n\nemail,role,,\na@example.com,USER,,\n",
        "email;role;valid from\na@example.com;USER\n",
    ],
)
def test_what_spreadsheets_save_is_read(content: str) -> None:
    """A byte order mark, either separator, quotes, any order and case, ends of lines of all systems, separators too many."""
    (line,) = _read(content)
    assert (line["email"], line["role"], line["validFrom"], line.problem) == ("a@example.com", "USER", "", None)


def test_a_line_is_called_as_editors_call_it() -> None:
    """The header is line 1, and empty lines and line breaks in cells count."""
    lines = _read('role,email\n\nUSER,a@example.com\nUSER,"b\n@example.com"\nUSER,c@example.com\n')
    assert [line.number for line in lines] == [3, 4, 6]
    assert [line.problem is None for line in lines] == [True, False, True]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "no header line"),
        ("\ufeff\n ;\n", "no header line"),
        ("role,valid\nUSER,x", "“valid” is unknown; known are email"),
        ("role,Role\nUSER,USER", "role is there twice"),
        ("email\na@example.com", "role is missing"),
        ('role,email\nUSER,"a@example.com\n', "From line 2 on this is no CSV"),
        ('role,email\nUSER,a@example.com\nUSER,"a"b\n', "From line 3 on this is no CSV"),
        ("role\n" + "x" * 140_000, "From line 2 on this is no CSV"),
        ("role\0\nUSER", "is unknown"),
    ],
)
def test_what_is_no_table_is_refused_whole(content: str, words: str) -> None:
    """With the place and what to mend."""
    with pytest.raises(ValidationError) as caught:
        _read(content)
    assert caught.value.path == ("csv",)
    assert words in caught.value.message


@pytest.mark.parametrize("content", ["role\n" + "USER\n" * (MOST_LINES + 1), "role\n" + "é" * (MOST_BYTES // 2)])
def test_what_is_too_large_says_so(content: str) -> None:
    """By its bytes, and by its lines."""
    with pytest.raises(ValidationError) as caught:
        _read(content)
    assert caught.value.code is ErrorCode.TOO_LARGE
    assert len(_read("role\n" + "USER\n\n" * MOST_LINES)) == MOST_LINES


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("=1+1", "“=1+1” looks like the formula"),
        ("@SUM(A1)", "looks like the formula"),
        ("+cmd|' /C calc'!A0", "looks like the formula"),
        ("-2+3", "looks like the formula"),
        ("a\0b", "control characters"),
        ("a\x7fb", "control characters"),
        ("x" * 501, "at most 500 characters, this one 501"),
    ],
)
def test_a_cell_that_would_do_harm_rejects_its_line(cell: str, words: str) -> None:
    """Formulas of spreadsheets, control characters, texts that have no end; the other lines are good."""
    bad, good = _read(f"role,externalUserId\nUSER,{cell}\nUSER,b\n")
    assert bad.problem is not None
    assert words in bad.problem
    assert bad["externalUserId"] == ""
    assert good.problem is None


def test_a_telephone_number_is_no_formula() -> None:
    """Nor is a number below zero, or a name with signs within."""
    lines = _read("role,externalUserId\nUSER,+47 99 99 99 99\nUSER,-1\nUSER,a=b+c@d\n")
    assert [line.problem for line in lines] == [None, None, None]


def test_rows_of_other_widths_are_rejected_one_by_one() -> None:
    """Fewer cells are empty ones; a hundred thousand are none of ours."""
    wide = ",".join(["x"] * 100_000)
    short, long, lone = _read(f"role,email,\nUSER\nUSER,{wide}\nUSER,a@example.com,x\n")
    assert short.problem is None
    assert short.optional("email") is None
    assert long.problem == "There are more cells than headings: 100001, not 3."
    assert lone.problem == "The cell “x” stands in a column without a heading."


@pytest.mark.parametrize(
    ("cell", "begin", "end"),
    [
        ("2026-03-01", datetime(2026, 2, 28, 23, tzinfo=UTC), datetime(2026, 3, 1, 23, tzinfo=UTC)),
        ("2026-03-29", datetime(2026, 3, 28, 23, tzinfo=UTC), datetime(2026, 3, 29, 22, tzinfo=UTC)),
        ("2026-03-01T10:00+02:00", datetime(2026, 3, 1, 8, tzinfo=UTC), datetime(2026, 3, 1, 8, tzinfo=UTC)),
        (
            "2026-03-01 08:00:30Z",
            datetime(2026, 3, 1, 8, 0, 30, tzinfo=UTC),
            datetime(2026, 3, 1, 8, 0, 30, tzinfo=UTC),
        ),
    ],
)
def test_a_date_is_a_whole_day_of_the_site(cell: str, begin: datetime, end: datetime) -> None:
    """From its beginning, and to its end, whatever the clocks do on it; an instant is what it says."""
    line = Line(2, {"validFrom": cell})
    assert line.instant("validFrom", OSLO) == begin
    assert line.instant("validFrom", OSLO, is_end=True) == end
    assert line.instant("validTo", OSLO) is None


@pytest.mark.parametrize(
    "cell",
    ["2026-02-30", "01.03.2026", "2026-3-1", "2026-03-01T10:00", "1900-01-01", "9999-12-31", "tomorrow", "\u0662\u0660\u0662\u0666-03-01",
     "2026-03-01T25:00Z", "0001-01-01T00:00:00+14:00", "2026-03-01T10:00+99:00"],
)  # fmt: skip
def test_a_date_that_is_none_is_rejected_with_an_example(cell: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(RejectedError, match=r"validTo: .* is neither; write a date such as 2026-03-31"):
        Line(2, {"validTo": cell}).instant("validTo", OSLO, is_end=True)


def test_yes_and_no() -> None:
    """An empty cell is no; what is neither is rejected."""
    assert [Line(2, {"remove": word}).flag("remove") for word in ("yes", "X", "1", "Ja")] == [True] * 4
    assert [Line(2, {"remove": word}).flag("remove") for word in ("no", "", "0", "False")] == [False] * 4
    with pytest.raises(RejectedError, match="remove: write yes or no, not “perhaps”"):
        Line(2, {"remove": "perhaps"}).flag("remove")


def test_what_a_rejected_line_says() -> None:
    """The message of the error, with the field where it names several."""
    problems = ValidationError(FieldProblem(("validTo",), "Over."), FieldProblem(("role",), "None."))
    assert rejected(7, problems).text == "validTo: Over. role: None."
    line = rejected(7, ConflictError("The last owner."))
    assert (line.line, line.action, line.text) == (7, ImportAction.REJECT, "The last owner.")
    assert shown("a\nb" + "c" * 100) == "“a�b" + "c" * 57 + "…”"


@given(st.text(alphabet='role,;"\n\r\0= +-@xé\u2028\ufeff', max_size=200))
def test_whatever_comes_is_lines_or_one_error(content: str) -> None:
    """Nothing else is raised, and no cell that is to be used has control characters."""
    with suppress(ValidationError):
        for line in _read("role,email\n" + content):
            assert not any(ord(one) < 32 for cell in line.cells.values() for one in cell)
