"""The code stays readable: short files and functions, and every public one says what it returns."""

from code_measures import files, functions

LONGEST_FILE, LONGEST_BODY = 400, 50


def test_files_are_short():
    sizes = {str(path): len(path.read_text().splitlines()) for path in files()}
    assert len(sizes) > 100
    assert not {path: n for path, n in sizes.items() if n > LONGEST_FILE}


def test_functions_are_short_without_their_docstrings():
    found = [f for path in files() for f in functions(path)]
    assert not [f.where for f in found if f.body > LONGEST_BODY]


def test_public_functions_have_a_return_type_and_a_docstring():
    public = [f for path in files() for f in functions(path) if f.public]
    assert not [f.where for f in public if not f.typed]
    # A method may have that of the class it inherits from.
    assert not [f.where for f in public if not f.documented and not f.method]
