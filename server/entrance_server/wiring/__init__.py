"""Puts the parts of a server together, part by part; `app` puts the parts together."""
