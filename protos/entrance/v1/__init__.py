"""The public API's messages and stubs, generated from entrance.proto."""
