"""The report and, later, releases."""
