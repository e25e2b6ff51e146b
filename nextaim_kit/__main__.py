"""The command line in this very process: what a warm one is asked to be, and no other."""

import sys

from nextaim_kit.commands import obey

if __name__ == "__main__":
    sys.exit(obey())
