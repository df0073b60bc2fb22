"""The public names: a change of this list is a change of the interface."""

import inspect

import pytest

import rankrise

# Sorted; fill in a name when src/rankrise/__init__.pyi gains it.
PUBLIC_NAMES: list[str] = []

# Plain values, which have no docstring of their own.
VALUES = {"__version__"}


def test_public_names_are_as_pinned():
    assert sorted(rankrise.__all__) == PUBLIC_NAMES


@pytest.mark.parametrize("name", PUBLIC_NAMES)
def test_public_name_can_be_imported_and_has_a_docstring(name):
    value = getattr(rankrise, name)
    if name in VALUES:
        return
    # `vars` and not `getattr`: a class must not pass with its parent's docstring.
    text = inspect.cleandoc(vars(value).get("__doc__") or "")
    assert text
    # Dataclasses without a docstring get their signature for one.
    assert not text.startswith(f"{name}(")
