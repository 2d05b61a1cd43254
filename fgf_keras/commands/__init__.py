"""What each command does, from a configuration to a finished folder."""
