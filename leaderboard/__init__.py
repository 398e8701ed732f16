"""Reads result files; writes tables and the report."""
