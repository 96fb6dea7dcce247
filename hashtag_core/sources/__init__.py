"""Ways into a PhotoCollection, one file each."""
