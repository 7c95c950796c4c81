"""A comparison of planners as a picture: own SVG, no script, nothing loaded from anywhere, light and dark."""
