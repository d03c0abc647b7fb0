"""The report: one page, its figures and tables, from run directories only."""
