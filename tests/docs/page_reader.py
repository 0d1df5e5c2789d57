"""Reads README.md and the pages of docs/: blocks of code, links, tables."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md'))]
FENCE = re.compile(r'^```(\w*)[ ]*(?:title="([^"]+)")?.*?$\n(.*?)^```$', re.M | re.S)


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: Its file.
        number: Its place on the page, from 0.
        language: Such as `python`; empty where none is given.
        title: The file it stands for; empty where none is given.
        text: What is inside.
    """

    page: Path
    number: int
    language: str
    title: str
    text: str

    def __str__(self):
        return f'{self.page.name}:{self.title or self.number}'


def read(page):
    return page.read_text(encoding='utf-8')


def blocks_of(page, language=None):
    """The blocks of a page, those of one language only if it is given."""
    found = [
        Block(page, i, *m.groups(default='')) for i, m in enumerate(FENCE.finditer(read(page)))
    ]
    return [b for b in found if language in (None, b.language)]


def all_blocks(language=None):
    return [block for page in PAGES for block in blocks_of(page, language)]


def files_of(page):
    """Title -> the text of the file that the blocks of that title make together."""
    files = {}
    for block in blocks_of(page):
        if block.title:
            files[block.title] = files.get(block.title, '') + block.text
    return files


def prose(page):
    """The page without its blocks."""
    return FENCE.sub('', read(page))


def rows(page, header):
    """The cells of the rows of the table whose first header cell is `header`, ticks taken off."""
    found, inside = [], False
    for line in prose(page).splitlines():
        if not line.startswith('|'):
            inside = False
            continue
        cells = [cell.strip() for cell in line.strip('|').split('|')]
        if cells[0] == header:
            inside = True
        elif inside and not set(line) <= set('|-'):
            found.append([cell.strip('`') for cell in cells])
    assert found, f'no table {header} in {page}'
    return found


def slug(title):
    """The anchor of a heading."""
    return re.sub(r'[\s-]+', '-', re.sub(r'[^\w\s-]', '', title.replace('`', '')).strip().lower())


def anchors(page):
    return {slug(title) for title in re.findall(r'^#+ (.+)$', prose(page), re.M)}
