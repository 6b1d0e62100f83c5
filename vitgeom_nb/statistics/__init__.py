"""What samples can carry: intervals, rank correlations, verdicts, words for a table."""
