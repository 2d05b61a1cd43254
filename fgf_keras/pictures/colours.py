"""The colours of plots and pictures."""

# A page replaces these three by its own, which differ in its light and its dark mode.
INK, FAINT, PAPER = "#24292f", "#d0d7de", "#fdfdfc"
# Middle tones: visible on a light and a dark background, and distinguishable with colour blindness.
BLUE, ORANGE, GREEN, PURPLE, GREY = "#3b82c4", "#d9731a", "#2f9e6e", "#a070c8", "#8b949e"
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, GREY, "#c2557a", "#8a7a2e", "#3fa7b5")
