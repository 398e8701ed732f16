"""Measurements of speed, each beside its rivals in one run."""
