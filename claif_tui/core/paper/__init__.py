"""What a paper needs of a project: tables, a figure, cost, dates, model ids, hashes and BibTeX, in one folder."""
