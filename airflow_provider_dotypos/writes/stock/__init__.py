"""Stock operations, which can't be read back: booked once by the number of a document."""
