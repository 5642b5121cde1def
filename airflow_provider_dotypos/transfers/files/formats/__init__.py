"""The file formats, and a writer for each."""
