"""Making a plan of a source's rows and of what the cloud holds."""
