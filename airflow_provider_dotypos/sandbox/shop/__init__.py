"""The sandbox's data: the rows of some clouds, and a clock. It knows no HTTP and no JSON."""
