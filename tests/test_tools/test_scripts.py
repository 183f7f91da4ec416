"""Rules for the scripts of ``tools/``."""

import os
import re
import subprocess
import sys

import pytest

from ..conftest import REPO

SCRIPTS = {path.stem: path for path in sorted((REPO / 'tools').glob('*.py'))}
HEAVY = ('torch', 'mmpose', 'mmengine', 'mmcv', 'mmdet', 'mipnet_mmpose')


@pytest.mark.parametrize('name', SCRIPTS)
def test_help_needs_nothing_heavy_and_says_the_defaults(name):
    """So it comes at once; importing MMPose takes ten seconds."""
    code = f'import sys, mipnet_command; sys.modules.update(dict.fromkeys({HEAVY}))'
    code += f'; sys.argv = ["mipnet", {name!r}, "--help"]; mipnet_command.main()'
    result = subprocess.run(
        [sys.executable, '-c', code], cwd=REPO, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f'usage: mipnet {name} ')
    if re.search(r'^  --\w+ \w+', result.stdout, re.M):  # an option with a value
        assert 'default' in result.stdout
    for folder in ('studies/', 'docs/', 'tests/', 'shared/', str(REPO)):
        assert folder not in result.stdout  # a wheel has none


def test_a_script_takes_the_package_of_its_clone(tmp_path):
    (tmp_path / 'mipnet_mmpose.py').touch()  # another one is installed
    code = f'import runpy, importlib.util; runpy.run_path({str(SCRIPTS["demo"])!r})'
    code += '; print(importlib.util.find_spec("mipnet_mmpose").origin)'
    environment = dict(os.environ, PYTHONPATH=str(tmp_path))
    command = [sys.executable, '-c', code]
    origin = subprocess.check_output(command, cwd=tmp_path, env=environment, text=True)
    assert origin.strip() == str(REPO / 'mipnet_mmpose' / '__init__.py')
