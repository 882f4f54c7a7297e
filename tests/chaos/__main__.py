"""Run the faults named on the command line, or all of them; exit code 1 where one did harm.

What begins with the first option is for the faults that are named: `python -m tests.chaos soak --minutes 10`.
"""

import sys
from pathlib import Path

from tests.programs import Programs

PROGRAMS = Programs(Path(__file__).parent)

if __name__ == "__main__":
    sys.exit(PROGRAMS.run(sys.argv[1:]))
