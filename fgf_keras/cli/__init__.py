"""The command line: `fgf` and its subcommands."""
