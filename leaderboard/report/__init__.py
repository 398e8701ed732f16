"""The report: one page of tables, plots and pictures."""
