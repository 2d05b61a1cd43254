"""The keys of the group `data` that determine what images look like: a network is for images of one form."""

# Keys with their units.
IMAGE_FORM = {"dimension": "", "window": " HU", "size": " px", "slice": "", "centre": ""}
# These do too; which of them applies depends on the source.
SPACING = ("spacing", "spacing_mm")
