"""The clone that a study stands in, whose package it imports and whose scripts it runs.

A study imports this before anything of MMPose.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import mipnet_mmpose  # noqa: F401 (before mmpose.models)
from mipnet_mmpose.markdown import fill_tables
from mipnet_mmpose.whole_files import write_text

REPO = Path(__file__).resolve().parents[1]
CONFIGS = REPO / 'configs' / 'synthcrowd'
SMALL = 'res18-small_8e_synthcrowd-128x96.py'  # the network that learns on a CPU
SYNTHCROWD = REPO / 'tools' / 'synthcrowd.py'


def run_script(command, log, **variables):
    """Run a Python script with the clone's package, its output in a file.

    Args:
        command (list): The script and its arguments.
        log (Path): For all that it prints.
        **variables (str): Of its environment.

    Raises:
        RuntimeError: where it fails; says its last line.
    """
    path = os.pathsep.join(filter(None, [str(REPO), os.environ.get('PYTHONPATH')]))
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open('w') as stream:
        status = subprocess.call(
            [sys.executable, *map(str, command)],
            stdout=stream,
            stderr=subprocess.STDOUT,
            env=dict(os.environ, PYTHONPATH=path, **variables),
        )
    if status:
        last = (log.read_text(errors='replace').strip().splitlines() or ['?'])[-1]
        raise RuntimeError(f'{Path(command[0]).name}: {last} (log: {log})')


def read_lines(path):
    """The objects of a file with one a line; a line cut off at the end is removed."""
    text = path.read_text() if path.exists() else ''
    whole = text[: text.rfind('\n') + 1]
    if whole != text:
        write_text(path, whole)
    return [json.loads(line) for line in whole.splitlines()]


def append_line(path, content):
    """Add an object to such a file."""
    with path.open('a') as stream:
        stream.write(json.dumps(content) + '\n')


def update_document(path, tables):
    """Write tables, by their titles, to their places in a document."""
    try:
        write_text(path, fill_tables(path, path.read_text(), tables))
    except ValueError as error:
        sys.exit(f'error: {error}')
    print(path)
