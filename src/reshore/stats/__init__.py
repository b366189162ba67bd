"""Statistics for comparing two models, pure: what it all is for says docs/statistics.md."""
