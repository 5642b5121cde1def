"""Sales by branch and business day: of a table, of files, and of the API's own report."""
