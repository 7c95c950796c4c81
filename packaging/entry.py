"""Where the frozen executable begins. `multiprocessing` of a plugin's must not run the command line again."""

import multiprocessing
import sys

from ralnode.cli.main import main

if __name__ == "__main__":
    multiprocessing.freeze_support()
    sys.exit(main())
