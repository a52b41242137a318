"""The command line: one module per command, without logic; slow packages are imported when needed."""
