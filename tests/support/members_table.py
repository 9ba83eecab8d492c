"""Build a members' table from the service's own answers."""

import bulk_output

from aurum import members
from aurum.members import enrolment


def build(service, folder, photos):
    """Enrol photos, paths by member, whatever their quality; return the table's folder."""
    enrol(bulk_output.of_photos(service, folder / "output", photos), folder / "db")
    return folder / "db"


def enrol(output, db, replace=False):
    """Make the table in `db` from the output of a bulk run."""
    enrolled = enrolment.read(output, min_quality=0)
    members.create(db, enrolled.model, enrolled.batches(), replace=replace)
