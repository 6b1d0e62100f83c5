"""Settings of every test run: figures are drawn off screen, progress bars are silent."""

import os

import matplotlib

os.environ.setdefault("TQDM_DISABLE", "1")
# not through the environment: notebooks under test must keep the backend that shows figures inline
matplotlib.use("Agg")
