"""Find people by face among enrolled members (1:N), in an embedded vector database (LanceDB).

>>> from aurum import members
>>> table = members.open("members")  # doctest: +SKIP
>>> table.add("ann", embedding, photo="ann.jpg")  # doctest: +SKIP
>>> table.search(embedding, top=5, far=1e-6).candidates  # doctest: +SKIP
>>> table.remove(["ann"])  # doctest: +SKIP

Needs the extra `aurum-face-serving[backfill]`. `table` keeps the faces, `schema` is what is stored
of each, `erase` removes members for good, `search` ranks, `decision` decides, `enrolment` reads the
output of `aurum bulk`, `duplicates` finds people who are there twice.
"""

from aurum.members.enrolment import ADVISED_QUALITY
from aurum.members.errors import MembersError
from aurum.members.search import Candidate, Search
from aurum.members.table import Members, create, open

__all__ = ["ADVISED_QUALITY", "Candidate", "Members", "MembersError", "Search", "create", "open"]
