"""What a report says, one subject per file: its words, its table, its plot."""
