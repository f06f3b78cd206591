"""An exported file against other ways to run the same student on this machine."""

CALIBRATION = "calibration.npy"
"""Slices (n, H, W, 1) in the folder of a student, for those who quantise."""

COMPARED = "compared.npy"
"""Other slices, of which the labels are compared."""
