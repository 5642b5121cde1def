"""Getting a refresh token: the page *Connect Dotypos* in Airflow's UI, and the command."""
