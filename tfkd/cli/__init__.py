"""The command line: one file per verb, each a frozen config and a function that runs it."""
