"""What chance would give: null features and what S and F reach on them."""
