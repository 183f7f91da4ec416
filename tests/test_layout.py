"""Where things stand: sizes, and imports that point one way."""

import ast
import sys

import pytest

from .conftest import REPO

# each imports from those below it
LAYERS = [
    {'tools', 'studies'},
    {'apis', 'comparison'},
    {'mipnetify', 'engine', 'models', 'datasets', 'evaluation', 'visualization'},
    {'compat', 'synthcrowd', 'modules'},  # modules: beside the packages
]
FOLDERS = ('mipnet_mmpose', 'tools', 'studies')
SOURCES = sorted(path for f in FOLDERS for path in (REPO / f).rglob('*.py'))


def part_of(*names):
    """The package of ours that a module is in, by its path or its dotted name."""
    if names[0] != 'mipnet_mmpose':
        return names[0]
    if names[1] in set().union(*LAYERS):
        return names[1]
    return 'modules'


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


def own_imports():
    """(file, its part, the part that it imports) of everything of ours."""
    for path in SOURCES:
        if path.parent == REPO / 'mipnet_mmpose' and path.name.startswith('__'):
            continue  # these gather what there is
        part = part_of(*path.relative_to(REPO).parts)
        for name in imported(path, in_functions=False):
            if name.startswith('mipnet_mmpose.'):
                yield path.relative_to(REPO), part, part_of(*name.split('.'))


def layer(part):
    (found,) = (i for i, parts in enumerate(LAYERS) if part in parts)
    return found


def test_files_can_be_read_in_one_sitting():
    lines = {path: len(path.read_text().splitlines()) for path in SOURCES}
    long = [path for path, count in lines.items() if count > 400]
    assert [path for path in long if path.parent.name != 'synthcrowd'] == []


def test_tools_are_few_lines():
    files = [path for path in (REPO / 'tools').iterdir() if path.is_file()]
    assert sum(len(path.read_text().splitlines()) for path in files) < 2500


def test_imports_point_one_way():
    upwards = [
        f'{path}: {other}'
        for path, part, other in own_imports()
        if layer(other) < layer(part)
    ]
    assert upwards == []


def test_synthcrowd_needs_numpy_and_opencv_alone():
    known = {*sys.stdlib_module_names, 'numpy', 'cv2'}
    for path in (REPO / 'mipnet_mmpose' / 'synthcrowd').glob('*.py'):
        for name in imported(path):
            ours = name.startswith('mipnet_mmpose.synthcrowd')
            assert ours or name.split('.')[0] in known, f'{path.name}: {name}'


@pytest.mark.parametrize('folder', ['tools', 'studies'])
def test_no_tool_imports_another(folder):
    names = {path.stem for path in (REPO / 'tools').glob('*.py')}
    for path in (REPO / folder).glob('*.py'):
        others = {name.split('.')[0] for name in imported(path)} & names
        assert not others, path.name
