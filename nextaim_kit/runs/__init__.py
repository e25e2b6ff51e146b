"""How a notebook is run as a function: parameters, runner, record, report, board."""
