"""The wheel, installed into an environment of its own beside the pinned packages."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from packaging.metadata import Metadata

from .conftest import REPO

pytestmark = pytest.mark.slow
NAME = 'td-hm_mipnet-res18-small_8e_synthcrowd-128x96'
TOOLS = sorted(p.stem for p in (REPO / 'tools').glob('*.py'))
MIB = 2**20


def run(command, folder, status=0):
    """The output of a command in another folder, which knows nothing of this clone."""
    environment = {k: v for k, v in os.environ.items() if k != 'PYTHONPATH'}
    result = subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert result.returncode == status, result.stdout[-3000:]
    return result.stdout


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    """Built from the source distribution, which so holds all that is needed."""
    out = tmp_path_factory.mktemp('dist')
    run([sys.executable, '-m', 'hatchling', 'build', '-t', 'sdist', '-d', out], REPO)
    (sdist,) = out.iterdir()
    pip = [sys.executable, '-m', 'pip', 'wheel', '--no-deps', '--no-index']
    run([*pip, '--no-build-isolation', '-w', out, sdist], out)
    (path,) = out.glob('*.whl')
    return path


@pytest.fixture(scope='module')
def mipnet(wheel, tmp_path_factory):
    """The command, in an environment with the wheel beside the pinned packages.

    The folder of those is on its path; the ``.pth`` file there that leads to this clone
    is not read.
    """
    folder = tmp_path_factory.mktemp('environment')
    run([sys.executable, '-m', 'venv', '--without-pip', folder], folder)
    uv = [sys.executable, '-m', 'uv', 'pip', 'install', '--no-deps', '--no-index']
    run([*uv, '--python', folder / 'bin' / 'python', wheel], folder)
    (site_packages,) = folder.glob('lib/*/site-packages')
    (site_packages / 'pinned.pth').write_text(f'{Path(torch.__file__).parents[1]}\n')
    return folder / 'bin' / 'mipnet'


def test_wheel_is_small_and_holds_what_is_beside_the_package_in_a_clone(wheel):
    mim = 'mipnet_mmpose/.mim'
    expected = {f'{mim}/{name}' for name in ('model-index.yml', 'docs/baseball.jpg')}
    expected.add('mipnet_command.py')
    for folder, place in (('mipnet_mmpose', ''), ('configs', mim), ('tools', mim)):
        for path in (REPO / folder).rglob('*'):
            if path.is_file() and path.suffix not in ('.pyc', '.sh'):
                expected.add(Path(place, path.relative_to(REPO)).as_posix())
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (info,) = (n for n in names if n.endswith('.dist-info/METADATA'))
        metadata = Metadata.from_email(archive.read(info), validate=True)
    assert {n for n in names if '.dist-info/' not in n} == expected
    assert wheel.stat().st_size < 8 * MIB
    assert info.replace('METADATA', 'licenses/LICENSE') in names
    assert metadata.license_expression == 'Apache-2.0'
    # installing it never touches the torch or the MMPose that are there
    assert all('extra ==' in str(r.marker) for r in metadata.requires_dist)
    assert {'mmpose', 'export', 'test'} == set(metadata.provides_extra)


def test_commands_and_configs_are_listed_and_found(mipnet, tmp_path):
    listed = re.findall(r'^  (\w+) +[A-Z]', run([mipnet, '--help'], tmp_path), re.M)
    assert sorted(listed) == TOOLS
    names = run([mipnet, 'config'], tmp_path).splitlines()
    assert len(names) == len(list((REPO / 'configs').glob('[!_]*/*.py')))
    (path,) = run([mipnet, 'config', NAME], tmp_path).splitlines()
    assert Path(path).is_file() and Path(path).is_relative_to(mipnet.parents[1])
    text = run([mipnet, 'config', NAME.replace('res18', 'res19')], tmp_path, status=1)
    assert re.search(f'no config .*res19.*did you mean {NAME}', text)
    text = run([mipnet, 'demos'], tmp_path, status=1)
    assert "no command 'demos'; did you mean demo?" in text
    assert 'usage: mipnet demo' in run([mipnet, 'demo', '--help'], tmp_path)


def test_a_crowd_is_drawn_a_config_written_and_people_are_found(mipnet, tmp_path):
    run([mipnet, 'synthcrowd', 'crowd', '--images', 2], tmp_path)
    stock = 'td-hm_res18-small_8e_synthcrowd-128x96'
    text = run([mipnet, 'mipnetify', stock, '-o', 'mipnet.py'], tmp_path)
    assert text.splitlines()[-1] == 'mipnet.py'
    cv2.imwrite(str(tmp_path / 'photo.jpg'), np.full((240, 320, 3), 99, np.uint8))
    run([mipnet, 'demo', 'photo.jpg', '--bbox', 10, 20, 110, 220], tmp_path)
