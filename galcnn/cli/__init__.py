"""The command line: one file a command, no logic, and no slow import before it is needed."""
