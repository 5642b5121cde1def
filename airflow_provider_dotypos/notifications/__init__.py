"""What is sent to people: the message about a failed task or DAG run."""
