"""What the data are: numbers and pictures of the images that a run trains on."""
