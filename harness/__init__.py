"""From a folder of photographs to packed, decoded, scored challenge submissions."""
