"""What a finished net is good for: pictures, files for other programs, damaged images."""
