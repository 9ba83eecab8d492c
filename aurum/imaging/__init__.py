"""Image processing in pure functions: decode, letterbox, select faces, align.

Images are uint8 RGB arrays [height, width, 3]. Coordinates are float32 pixels with the origin at
the top left; as in OpenCV, the centre of the first pixel is (0, 0).
"""
