"""The playground: a page to try the service on, and a pass-through to its public pipelines.

``app`` has the routes and who may use them, ``forward`` what is passed on, ``timings`` where the
time went, ``find`` the search among members, ``searcher`` its process, ``query`` what it is asked,
``serve`` the thread that runs it all. ``static/`` is the page, without any build step.
"""
