"""The prompt lab: the same rows through several cells (prompt x model x temperature), and what sets them apart."""
