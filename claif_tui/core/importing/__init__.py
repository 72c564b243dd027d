"""Other people's files: what they are, what is in them, and what becomes of every row."""
