"""A photo's way in pure functions: decode, letterbox, (detector), faces, align, (embedder).

Images are uint8 RGB arrays [height, width, 3]; coordinates are float32 pixels, origin top left,
with the centre of the first pixel at (0, 0) as OpenCV has it.
"""
