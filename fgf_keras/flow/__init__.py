"""Following the gradient of a score to the decision boundary, and averaging quantities along the path."""
