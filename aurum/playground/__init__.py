"""The playground: a page to try the service on, and a pass-through to its public pipelines.

``app`` has the routes and who may use them, ``forward`` what is passed on, ``timings`` where the
time went, ``serve`` the thread that runs it. ``static/`` is the page, without any build step.
"""
