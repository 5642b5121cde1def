"""What databases do differently: PostgreSQL, SQLite, DuckDB, MySQL and MariaDB."""
