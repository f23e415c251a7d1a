"""The machine: load, drives, tools, and the status line made of it all."""
