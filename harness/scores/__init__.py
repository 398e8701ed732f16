"""Scores of one pair of images, and of a set."""
