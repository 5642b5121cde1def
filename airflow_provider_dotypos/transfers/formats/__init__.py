"""The files that rows go into: their columns, and a writer for each format."""
