"""``python -m mipnet_mmpose``, the same as the command ``mipnet``."""

from mipnet_command import main

main()
