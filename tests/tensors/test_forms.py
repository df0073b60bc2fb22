"""Every row of the tables of docs/files.md is a form that is read and given back."""

import re
import runpy
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "files.md"
# Each has FORMS: the first cell of a row, and what checks it in a folder of its own.
MODULES = ("forms_tables", "forms_arrays", "forms_netcdf", "forms_matlab")
HERE = Path(__file__).parent


def rows():
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    cells = [line.split("|")[1].strip() for line in lines if line.startswith("|")]
    return [cell for cell in cells if cell != "form" and not re.fullmatch("-+", cell)]


@pytest.fixture(scope="module")
def forms():
    known = {}
    for name in MODULES:
        if (HERE / f"{name}.py").exists():
            known.update(runpy.run_path(str(HERE / f"{name}.py"))["FORMS"])
    return known


@pytest.mark.parametrize("row", rows())
def test_row_of_the_table_is_read_and_given_back(row, forms, tmp_path):
    forms[row](tmp_path)


def test_every_form_that_is_checked_is_in_the_table(forms):
    assert set(forms) == set(rows())
