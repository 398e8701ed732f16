"""Reads records of measurements; writes tables, boards and the report."""
