"""Loading rows into SQL databases: tables, staging, the merge, and the sink that puts them together."""
