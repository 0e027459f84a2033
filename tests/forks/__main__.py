"""``python -m tests.forks -m MODULE ...``: a command, and those that it starts, in processes that split off."""

import subprocess
import sys

from tests.forks import python

sys.exit(subprocess.run([python(), *sys.argv[1:]], check=False).returncode)
