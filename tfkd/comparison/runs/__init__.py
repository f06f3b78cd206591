"""The runs that a plan asks for: each is trained, scored, exported, and becomes a row."""
