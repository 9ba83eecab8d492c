"""Pictures that show what the service sees and what it misses.

``scenes`` makes them from photos that anybody may publish, ``disguise`` draws masks and glasses,
``judge`` asks the service and compares, ``command`` writes the page.
"""
