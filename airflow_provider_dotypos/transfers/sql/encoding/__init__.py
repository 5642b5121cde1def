"""How rows get into a database: typed by Arrow, then copied in the form that the database takes quickest."""
