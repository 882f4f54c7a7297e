"""Run the benchmarks named on the command line, or all; what follows from the first `-` on goes to them as options."""

import sys
from pathlib import Path

from tests.programs import Programs

PROGRAMS = Programs(Path(__file__).parent)

if __name__ == "__main__":
    sys.exit(PROGRAMS.run(sys.argv[1:]))
