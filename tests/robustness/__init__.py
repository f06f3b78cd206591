"""A standing fuzzer: every mutation ends in a right result or in one line, see `__main__`."""
