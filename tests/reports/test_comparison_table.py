"""The comparison as text: what there is not is blank."""

import csv
import math

import pytest

from rankrise.experiments import Comparison, Row, Statement
from rankrise.reports import comparison_markdown, format_number, save_comparison

COMPARISON = Comparison(
    reference="paper",
    rows=(
        Row(
            group="a | b",
            quantity="both",
            ours=0.02285,
            paper=0.0228,
            ours_spread=0.009,
        ),
        Row(group="a | b", quantity="only ours", ours=4.0, note="unread"),
    ),
    statements=(
        Statement(group="a", words="it falls", ours=True, paper=None, evidence="3 2 1"),
        Statement(group="a", words="it rises", ours=False, paper=True),
    ),
    notes=("The start is not known.",),
)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (math.nan, ""),
        (5750.0, "5750"),
        (0.0, "0"),
        (0.02285, "0.02285"),
        (1e-9, "1e-09"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
    ],
)
def test_a_number_has_a_few_digits_and_a_missing_one_none(number, words):
    assert format_number(number) == words


def test_the_csv_has_every_number_in_full_and_blanks_for_missing_ones(tmp_path):
    save_comparison(COMPARISON, tmp_path, "Title")
    with (tmp_path / "comparison.csv").open(newline="") as file:
        both, ours = csv.DictReader(file)
    assert float(both["difference"]) == 0.02285 - 0.0228
    assert (both["group"], both["ours_spread"]) == ("a | b", "0.009")
    assert (ours["ours"], ours["paper"], ours["difference"]) == ("4.0", "", "")


def test_the_page_says_what_was_left_out_before_any_number():
    page = comparison_markdown(COMPARISON, "Title", ("ranks 3 to 15",))
    assert page.index("- ranks 3 to 15") < page.index("| it falls |")
    assert page.index("The start is not known.") < page.index("| it falls |")
    assert "Left out" not in comparison_markdown(COMPARISON, "Title")


def test_statements_are_answered_yes_no_or_not_at_all():
    page = comparison_markdown(COMPARISON, "Title")
    assert "| a | it falls | yes |  | 3 2 1 |" in page
    assert "| a | it rises | no | yes |  |" in page


def test_every_line_of_a_table_has_as_many_cells_as_its_head():
    page = comparison_markdown(COMPARISON, "Title")
    tables = page.split("\n\n")[-2:]
    for table in tables:
        counts = {line.count("|") for line in table.strip().splitlines()}
        assert len(counts) == 1
