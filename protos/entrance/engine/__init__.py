"""The protocol between server and runner; internal."""
