"""What the studies share."""

import pytest

from mipnet_mmpose.mmpose_files import STOCK_CONFIGS, mmpose_tool

from ..conftest import load_tool

clone = load_tool('clone')


def test_a_script_that_fails_says_its_last_line_and_where_the_rest_is(tmp_path):
    script, log = tmp_path / 'script.py', tmp_path / 'logs' / 'script.log'
    script.write_text("import sys\nprint('working')\nsys.exit('no such loss')\n")
    with pytest.raises(RuntimeError) as error:
        clone.run_script([script], log)
    assert str(error.value) == f'script.py: no such loss (log: {log})'
    assert 'working' in log.read_text()


def test_a_script_imports_the_package_of_the_clone(tmp_path):
    script, log = tmp_path / 'script.py', tmp_path / 'script.log'
    script.write_text(
        'import importlib.util\n'
        "print(importlib.util.find_spec('mipnet_mmpose').origin)\n"
    )
    clone.run_script([script], log)
    package = clone.REPO / 'mipnet_mmpose' / '__init__.py'
    assert log.read_text().strip() == str(package)


def test_a_line_cut_off_is_no_result(tmp_path):
    path = tmp_path / 'runs.jsonl'
    assert clone.read_lines(path) == []
    clone.append_line(path, dict(run=1))
    with path.open('a') as stream:
        stream.write('{"run": ')
    assert clone.read_lines(path) == [dict(run=1)]
    clone.append_line(path, dict(run=2))
    assert clone.read_lines(path) == [dict(run=1), dict(run=2)]


def test_files_of_mmpose_are_found():
    assert mmpose_tool('train.py').is_file() and STOCK_CONFIGS.is_dir()
    with pytest.raises(FileNotFoundError, match='has no tools/learn.py'):
        mmpose_tool('learn.py')
