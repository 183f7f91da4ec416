"""Rules for the scripts of ``tools/``."""

import ast
import os
import re
import subprocess
import sys
from importlib.metadata import packages_distributions

import pytest

from ..conftest import REPO

SCRIPTS = sorted((REPO / 'tools').glob('*.py'))
FIND_PACKAGE = 'sys.path.insert(0, str(Path(__file__).resolve().parents[1]))'
names = pytest.mark.parametrize('script', SCRIPTS, ids=lambda script: script.stem)


def imported(script):
    """Top-level names that a script imports, anywhere in it."""
    for node in ast.walk(ast.parse(script.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split('.')[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module.split('.')[0]


@names
def test_no_script_imports_another(script):
    assert not set(imported(script)) & {path.stem for path in SCRIPTS}


@names
def test_no_name_hides_a_package(script):
    # Python puts the folder of a script first in sys.path
    others = set(packages_distributions()) | set(sys.stdlib_module_names)
    assert script.stem not in others


@names
def test_the_package_of_the_clone_is_found_before_it_is_imported(script):
    if 'mipnet_mmpose' in set(imported(script)):
        before = re.split('(?:import|from) mipnet_mmpose', script.read_text())[0]
        assert FIND_PACKAGE in before


def test_a_script_takes_the_package_of_its_clone(tmp_path):
    # another one is installed: importing it would fail
    (tmp_path / 'mipnet_mmpose.py').write_text('raise ImportError("the wrong one")')
    command = [sys.executable, REPO / 'tools' / 'synthcrowd.py', '--help']
    environment = dict(os.environ, PYTHONPATH=str(tmp_path))
    subprocess.run(command, cwd=tmp_path, env=environment, check=True)


def test_pre_commit_runs_the_pinned_ruff():
    pins = (REPO / 'requirements' / 'pinned.txt').read_text()
    version = re.search(r'^ruff==(.+)$', pins, re.M)[1]
    assert f'rev: v{version} ' in (REPO / '.pre-commit-config.yaml').read_text()
