"""What is measured, by what it is about; each function gives the figures of a row of the table."""
