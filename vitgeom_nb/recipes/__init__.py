"""What makes the embedded networks: their training and the files that ship. Nothing imports it."""

from ..settings import sleeping_threads

sleeping_threads()  # before torch is loaded: a training runs beside other work
