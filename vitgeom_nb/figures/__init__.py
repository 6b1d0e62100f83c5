"""One function a figure: a measurement in, a matplotlib Figure out."""
