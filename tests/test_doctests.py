"""The examples in docstrings say what happens."""

import doctest
import importlib
import pkgutil

import pytest

import dense_al

MODULES = sorted(
    m.name for m in pkgutil.walk_packages(dense_al.__path__, 'dense_al.') if not m.ispkg
)


@pytest.mark.parametrize('name', MODULES)
def test_examples(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder()
    found = [t for n in MODULES for t in finder.find(importlib.import_module(n)) if t.examples]
    assert len(found) > 100
