"""The page *Connect Dotypos* in Airflow's UI."""
