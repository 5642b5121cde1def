"""The sandbox's data: clouds, their rows, and a clock."""
