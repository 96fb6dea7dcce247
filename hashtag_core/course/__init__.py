"""The course: the explorer, running all notebooks, checking the machine."""
