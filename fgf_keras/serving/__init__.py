"""Exports as SavedModels: their signatures, their descriptions, and how they are loaded and served."""
