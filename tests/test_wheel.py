"""The wheel, installed into an environment of its own beside the pinned packages."""

import json
import os
import re
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import pytest
import torch
from mmengine.config import Config
from mmpose.registry import MODELS
from packaging.metadata import Metadata

from .conftest import REPO

pytestmark = pytest.mark.slow
NAME = 'td-hm_mipnet-res18-small_8e_synthcrowd-128x96'
TOOLS = sorted(path.stem for path in (REPO / 'tools').glob('*.py'))


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
def bin_folder(wheel, tmp_path_factory):
    """``bin`` of an environment with the wheel. The other packages are the pinned ones.

    Their folder is on its path; the ``.pth`` file there that leads to this clone is not
    read.
    """
    folder = tmp_path_factory.mktemp('environment')
    run([sys.executable, '-m', 'venv', '--without-pip', folder], folder)
    uv = [sys.executable, '-m', 'uv', 'pip', 'install', '--no-deps', '--no-index']
    run([*uv, '--python', folder / 'bin' / 'python', wheel], folder)
    (site_packages,) = folder.glob('lib/*/site-packages')
    pinned = Path(torch.__file__).parents[1]
    (site_packages / 'pinned.pth').write_text(f'{pinned}\n')
    return folder / 'bin'


@pytest.fixture(scope='module')
def folder(bin_folder, tmp_path_factory):
    """A user's folder with a synthetic crowd, a photograph, boxes and weights."""
    folder = tmp_path_factory.mktemp('user')
    for part in ('train', 'val'):
        out = f'data/synthcrowd/{part}'
        run([bin_folder / 'mipnet', 'synthcrowd', out, '--images', 2], folder)
    val = folder / 'data' / 'synthcrowd' / 'val'
    cv2.imwrite(
        str(folder / 'photo.jpg'), cv2.imread(str(next((val / 'images').iterdir())))
    )
    boxes = dict(
        images=[dict(id=1, file_name='photo.jpg', width=320, height=240)],
        annotations=[dict(id=1, image_id=1, category_id=1, bbox=[10, 20, 100, 200])],
        categories=[dict(id=1, name='person')],
    )
    (folder / 'BOXES.json').write_text(json.dumps(boxes))
    config = Config.fromfile(REPO / 'configs' / 'synthcrowd' / f'{NAME}.py')
    torch.save(MODELS.build(config.model).state_dict(), folder / 'WEIGHTS')
    return folder


def test_metadata_is_complete(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith('.dist-info/METADATA'))
        metadata = Metadata.from_email(archive.read(name), validate=True)
        assert 'mipnet_mmpose/py.typed' in archive.namelist()
        assert name.replace('METADATA', 'licenses/LICENSE') in archive.namelist()
    assert metadata.license_expression == 'Apache-2.0'
    assert 'Typing :: Typed' in metadata.classifiers
    assert metadata.author and metadata.project_urls and metadata.summary
    assert metadata.description_content_type == 'text/markdown'
    # installing it never touches the torch or the MMPose that are there
    assert all('extra ==' in str(r.marker) for r in metadata.requires_dist)
    assert {'mmpose', 'export', 'test'} == set(metadata.provides_extra)


def test_wheel_holds_what_is_beside_the_package_in_a_clone(wheel):
    mim = 'mipnet_mmpose/.mim'
    expected = {f'{mim}/model-index.yml'}
    expected |= {f'{mim}/tools/{tool}.py' for tool in TOOLS}
    expected |= {
        f'{mim}/{path.relative_to(REPO).as_posix()}'
        for path in (REPO / 'configs').rglob('*')
        if path.suffix in ('.py', '.yml', '.md')
    }
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {n for n in names if n.startswith(mim)} == expected
    tops = {n.split('/')[0] for n in names if '.dist-info/' not in n}
    assert tops == {'mipnet_mmpose', 'mipnet_command.py'}


def test_config_lists_names_and_prints_a_path(bin_folder, folder):
    mipnet = bin_folder / 'mipnet'
    names = run([mipnet, 'config'], folder).splitlines()
    assert len(names) == len(list((REPO / 'configs').glob('[!_]*/*.py')))
    (path,) = run([mipnet, 'config', NAME], folder).splitlines()
    assert Path(path).is_relative_to(bin_folder.parent)
    Config.fromfile(path)
    text = run([mipnet, 'config', NAME.replace('res18', 'res19')], folder, status=1)
    assert re.search(f'no config .*res19.*did you mean {NAME}', text)


def test_help_lists_every_tool(bin_folder, folder):
    text = run([bin_folder / 'mipnet', '--help'], folder)
    listed = re.findall(r'^  (\w+) +[A-Z]', text, re.M)
    assert listed == TOOLS
    text = run([bin_folder / 'mipnet', 'demos'], folder, status=1)
    assert "no command 'demos'; did you mean demo?" in text


def test_synthcrowd_and_run_onnx_need_no_mmpose(bin_folder, folder):
    code = (
        'import sys, runpy; sys.modules.update(torch=None, mmpose=None, mmengine=None);'
        'from mipnet_command import main; sys.argv = ["mipnet", *sys.argv[1:]]; main()'
    )
    for tool in ('synthcrowd', 'run_onnx'):
        text = run([bin_folder / 'python', '-c', code, tool, '--help'], folder)
        assert f'usage: {tool}.py' in text


def test_exit_status_is_that_of_the_tool(bin_folder, folder):
    text = run([bin_folder / 'mipnet', 'synthcrowd'], folder, status=2)
    assert 'required: OUT, --images' in text


def test_every_tool_runs_with_the_installed_package(bin_folder, folder):
    # in one process, since each of its own would import MMPose
    code = """
import sys
import mipnet_command
for tool in sys.argv[1:]:
    sys.argv = ['mipnet', tool, '--help']
    try:
        mipnet_command.main()
    except SystemExit as error:
        assert not error.code, error
import mipnet_mmpose
print(mipnet_mmpose.__file__)
from mmpose.apis import MMPoseInferencer
model = dict(pose2d='NAME', scope='mipnet_mmpose', device='cpu')
inferencer = MMPoseInferencer(**model, det_model='whole_image')
(poses,) = next(inferencer('photo.jpg'))['predictions']
print(len(poses), 'poses')
""".replace('NAME', NAME)
    text = run([bin_folder / 'python', '-c', code, *TOOLS], folder)
    for tool in TOOLS:
        assert f'usage: {tool}.py' in text
    (package,) = re.findall(r'^/.*__init__.py$', text, re.M)
    assert Path(package).is_relative_to(bin_folder.parent)
    assert text.endswith('2 poses\n')


def readme_commands():
    blocks = re.findall(r'```shell\n(.*?)```', (REPO / 'README.md').read_text(), re.S)
    return re.findall(r'^mipnet .*', '\n'.join(blocks), re.M)


@pytest.mark.parametrize('command', readme_commands())
def test_commands_of_the_readme_run_from_another_folder(command, bin_folder, folder):
    (config,) = run([bin_folder / 'mipnet', 'config', NAME], folder).splitlines()
    command = shlex.split(command.replace('CONFIG', config), comments=True)
    run([bin_folder / command[0], *command[1:]], folder)
