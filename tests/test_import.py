"""Importing the package warns of nothing that is ours."""

import json
import subprocess
import sys

import pytest

from .conftest import REPO

PROGRAM = """
import json, sys, warnings
seen = []
warnings.showwarning = lambda text, kind, file, *_: seen.append([file, str(text)])
warnings.simplefilter('always')
import mipnet_mmpose
json.dump(seen, sys.stdout)
"""


@pytest.mark.slow
def test_no_warning_is_ours():
    output = subprocess.check_output([sys.executable, '-c', PROGRAM], cwd=REPO)
    seen = json.loads(output)
    assert seen, 'others do warn'
    assert not [
        file for file, _ in seen if file.startswith(str(REPO / 'mipnet_mmpose'))
    ]
