"""Where things stand: sizes, and imports that point one way."""

import ast

import pytest

from .conftest import REPO

# each imports from those below it
LAYERS = [
    {'tools', 'studies'},
    {'apis', 'comparison'},
    {'mipnetify', 'engine', 'models', 'datasets', 'evaluation', 'visualization'},
    {'compat', 'modules'},  # modules: beside the packages
]
FOLDERS = ('mipnet_mmpose', 'tools', 'studies')
SOURCES = sorted(path for f in FOLDERS for path in (REPO / f).rglob('*.py'))
# of all *.py: what there is; the aim is 5000, 3400, 1200, 7500 and 700
BUDGET = dict(mipnet_mmpose=5475, tools=3400, studies=1200, tests=7500, configs=700)


def lines(path):
    return len(path.read_text().splitlines())


@pytest.mark.parametrize('folder', BUDGET)
def test_what_there_is_can_be_read(folder):
    count = sum(lines(path) for path in (REPO / folder).rglob('*.py'))
    assert count <= BUDGET[folder]


def test_files_can_be_read_in_one_sitting():
    plugin = [path for path in SOURCES if 'mipnet_mmpose' in path.parts]
    assert {str(path): lines(path) for path in plugin if lines(path) > 300} == {}


def part_of(name):
    """The layer's name for a dotted name of ours."""
    parts = name.split('.')
    if parts[0] != 'mipnet_mmpose':
        return parts[0]
    return parts[1] if parts[1] in set().union(*LAYERS) else 'modules'


def imported(path, in_functions=True):
    """Dotted names of what a file imports, also or not where a function runs."""
    package = path.relative_to(REPO).parts[:-1]
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree) if in_functions else tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = '.'.join([*base, *filter(None, [node.module])])
            # 'from . import x' names modules, 'from .x import y' one
            if node.module is None or module == 'mipnet_mmpose':
                yield from (f'{module}.{alias.name}' for alias in node.names)
            else:
                yield module


def test_imports_point_one_way():
    def layer(part):
        (found,) = (i for i, parts in enumerate(LAYERS) if part in parts)
        return found

    upwards = []
    for path in SOURCES:
        name = '.'.join(path.relative_to(REPO).with_suffix('').parts)
        if name.startswith('mipnet_mmpose.__'):
            continue  # these gather what there is
        for other in imported(path, in_functions=False):
            if other.startswith('mipnet_mmpose.'):
                if layer(part_of(other)) < layer(part_of(name)):
                    upwards.append(f'{path}: {other}')
    assert upwards == []


def test_no_tool_imports_another():
    tools = {path.stem for path in (REPO / 'tools').glob('*.py')} - {'synthcrowd'}
    for path in [*(REPO / 'tools').glob('*.py'), *(REPO / 'studies').glob('*.py')]:
        assert not {name.split('.')[0] for name in imported(path)} & tools, path.name


def test_synthetic_crowds_need_nothing_of_ours():
    for path in (REPO / 'tools' / 'synthcrowd').glob('*.py'):
        assert not [name for name in imported(path) if name.startswith('mipnet_mmpose')]
