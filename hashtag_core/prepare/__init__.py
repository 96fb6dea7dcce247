"""The second half of every way in: rows are cleaned, selected, reported and written."""
