"""Files are written whole or not at all."""

import os

import pytest

from dense_al.files import write_atomically


def test_what_stops_a_writer_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / 'a.bin'
    write_atomically(path, b'before')

    def stopped(file):
        file.write(b'half')
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, stopped)
    assert path.read_bytes() == b'before' and os.listdir(tmp_path) == ['a.bin']


def test_a_writer_replaces_the_file_once_all_is_on_the_disk(tmp_path, monkeypatch):
    path, seen, sync = tmp_path / 'a.bin', [], os.fsync

    def recorded(handle):
        seen.append(path.read_bytes())
        sync(handle)

    write_atomically(path, b'before')
    monkeypatch.setattr(os, 'fsync', recorded)
    write_atomically(path, lambda file: file.write(b'after'))
    assert seen == [b'before', b'after']  # the file, then the folder with its new name
    assert path.stat().st_mode & 0o444 == 0o444


def test_a_single_writer_leaves_one_temporary_file_at_most(tmp_path):
    seen = []
    for _ in range(2):
        write_atomically(tmp_path / 'a', lambda file: seen.append(file.name), alone=True)
    assert seen == [str(tmp_path / '.a.tmp')] * 2
    (tmp_path / '.a.tmp').write_bytes(b'left by one that was killed')
    write_atomically(tmp_path / 'a', b'all', alone=True)
    assert [p.name for p in tmp_path.iterdir()] == ['a'] and (tmp_path / 'a').read_bytes() == b'all'
