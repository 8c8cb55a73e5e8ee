"""The runner protocol's messages and stubs, generated from engine.proto."""
