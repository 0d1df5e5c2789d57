"""What README.md and the pages of docs/ name is there: files, links, options, components."""

import importlib.util
import re
import sys

import pytest
import yaml
from page_reader import PAGES, ROOT, all_blocks, anchors, prose, read

from dense_al import registry
from dense_al.engine.main import parse

LINKED = [ROOT / 'README.md', *sorted((ROOT / 'docs').rglob('*.md'))]
OURS = [r for r in vars(registry).values() if isinstance(r, registry.Registry)]
PARTS = 'configs|tools|docs|dense_al|benchmarks|tests'


def ids(page):
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize('block', all_blocks('python'), ids=str)
def test_python_compiles(block):
    compile(block.text, str(block), 'exec')


@pytest.mark.parametrize('page', [p for p in PAGES if p.stem != 'reference'], ids=ids)
def test_pages_are_short(page):
    assert len(read(page).splitlines()) < 200


@pytest.mark.parametrize('page', LINKED, ids=ids)
def test_links_and_images_lead_somewhere(page):
    for target in re.findall(r'\]\(([^)\s]+)\)', prose(page)):
        if re.match(r'\w+:', target):
            continue
        path, _, anchor = target.partition('#')
        other = page.parent / path if path else page
        assert other.exists(), target
        if anchor:
            assert anchor in anchors(other), target


@pytest.mark.parametrize('page', PAGES, ids=ids)
def test_files_that_are_named_exist(page):
    named = re.findall(rf'(?<![\w./-])(?:{PARTS})/[\w./-]*[\w/]', read(page))
    assert not [name for name in named if not (ROOT / name).exists()]


def test_every_page_is_in_the_navigation_and_nothing_else():
    listed = re.findall(r'^ +- (?:.+: )?(\S+\.md)$', read(ROOT / 'mkdocs.yml'), re.M)
    docs = ROOT / 'docs'
    assert sorted(listed) == sorted(str(page.relative_to(docs)) for page in docs.rglob('*.md'))


def test_the_reference_is_that_of_the_code():
    sys.path.insert(0, str(ROOT / 'tools'))
    import make_reference

    assert read(ROOT / 'docs/reference.md') == make_reference.page()
    rows = re.findall(r'^\| `\w+` \|.*$', make_reference.page(), re.MULTILINE)
    assert len(rows) > 100 and not [row for row in rows if row.endswith('|  |')]


def test_the_site_is_built_into_a_folder_that_git_ignores():
    config = yaml.safe_load((ROOT / 'mkdocs.yml').read_text())
    ignored = (ROOT / '.gitignore').read_text().splitlines()
    assert config['strict'] is True
    assert config['site_dir'].split('/')[0] + '/' in ignored


def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip('material')
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    build(load_config(str(ROOT / 'mkdocs.yml'), site_dir=str(tmp_path / 'site')))
    assert 'streets_curves.png' in (tmp_path / 'site/index.html').read_text()


def commands():
    """(page, tool, what follows its name) of every command line in a block."""
    for block in all_blocks():
        if block.language in ('bash', 'text'):
            for line in block.text.replace('\\\n', ' ').splitlines():
                found = re.search(r'(?<!\S)tools/(\w+)\.py( .*)?$', line.split('  #')[0])
                if found:
                    yield pytest.param(found[1], found[2] or '', id=f'{block}:{found[1]}')


@pytest.fixture(scope='module')
def options_of():
    """Tool, first argument -> its options, as the parsers of this process say."""
    known = {}

    def ask(tool, first, capsys):
        key = (tool, first if tool == 'make_sandbox' else '')
        if key not in known:
            arguments = [*([first] if key[1] else []), '--help']
            with pytest.raises(SystemExit) as ended:
                parse(arguments) if tool == 'al_train' else load(tool).main(arguments)
            assert ended.value.code == 0
            known[key] = set(re.findall(r'--[a-z][\w-]*', capsys.readouterr().out))
        return known[key]

    return ask


def load(tool):
    spec = importlib.util.spec_from_file_location(f'tool_{tool}', ROOT / f'tools/{tool}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize('tool, rest', commands())
def test_tools_have_the_options_that_are_used(tool, rest, options_of, capsys):
    known = set(options_of(tool, rest.split()[0] if rest else '', capsys))
    if tool == 'al_compare':  # hands on what it does not know
        known |= options_of('al_train', '', capsys)
    assert set(re.findall(r'(?<=\s)--[a-z][\w-]*', rest)) <= known


@pytest.mark.parametrize('page', PAGES, ids=ids)
def test_options_in_the_text_belong_to_a_tool(page, options_of, capsys):
    tools = [path.stem for path in (ROOT / 'tools').glob('*.py')]
    known = {'--help', '--nproc_per_node', '--strict'}
    for tool in tools:
        for first in ('streets', 'glyphs', 'town') if tool == 'make_sandbox' else ('',):
            known |= options_of(tool, first, capsys)
    named = re.findall(r'`(--[a-z][\w-]*)', prose(page))
    assert set(named) <= known


def test_components_are_registered():
    from mmdet.utils import register_all_modules as of_mmdet
    from mmengine.registry import DATASETS, HOOKS, MODELS, TRANSFORMS
    from mmseg.utils import register_all_modules as of_mmseg

    import dense_al.adapters.lidar
    import dense_al.adapters.mmdet
    import dense_al.adapters.mmseg
    import dense_al.oracles
    import dense_al.regions  # noqa: F401  all of them register

    of_mmdet(init_default_scope=False)
    of_mmseg(init_default_scope=False)
    named = {
        (page.name, name) for page in PAGES for name in re.findall(r"type='(\w+)'", read(page))
    }
    assert ('quickstart.md', 'Superpixels') in named
    own = set().union(*(r.names for r in OURS)) | {'OneOfEach', 'Tie'}

    def there(name):
        found = (r.get(f'{scope}.{name}') for r in (DATASETS, HOOKS, MODELS, TRANSFORMS)
                 for scope in ('mmseg', 'mmdet'))  # fmt: skip
        return name in own or any(cls is not None for cls in found)

    assert not [pair for pair in sorted(named) if not there(pair[1])]
