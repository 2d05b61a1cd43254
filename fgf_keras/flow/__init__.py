"""How the gradient of a score is followed to the decision boundary, and what is averaged along the path."""
