"""The gallery: pictures that show what the service finds and what it misses.

``scenes`` makes them from photos that may be published, ``disguise`` draws masks and glasses,
``judge`` queries the service and compares, ``command`` writes the page.
"""
