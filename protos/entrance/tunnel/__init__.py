"""The protocol between gateway and server for many calls in one stream; internal."""
