"""The data path: files or drawn garments, split, resident tensors, batch augmentation."""
