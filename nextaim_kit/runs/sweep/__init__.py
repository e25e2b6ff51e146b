"""Many runs of one or more notebooks: planned, frozen in a table, run by an engine, reported."""
