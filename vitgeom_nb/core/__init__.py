"""What every measurement stands on: the measurement itself, batches, memory, progress, directions, images, likeness."""
