"""Arrays to images: panels, pages of patients."""
