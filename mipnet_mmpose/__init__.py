"""Multi-instance pose networks (MIPNet, ICCV 2021) as a plugin for MMPose.

Importing this package registers everything in MMPose's own registries, so a
config needs nothing but ``custom_imports = dict(imports=['mipnet_mmpose'])``.
"""

from . import compat

compat.install()  # before anything imports mmpose.models

from .apis import *  # noqa: E402, F403
from .datasets import *  # noqa: E402, F403
from .engine import *  # noqa: E402, F403
from .evaluation import *  # noqa: E402, F403
from .mipnetify import mipnetify  # noqa: E402, F401
from .models import *  # noqa: E402, F403
from .version import __version__  # noqa: E402, F401
from .visualization import *  # noqa: E402, F403
