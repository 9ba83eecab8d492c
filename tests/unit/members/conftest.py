"""Tables of made-up members."""

import bulk_output
import pytest

from aurum.members import create, enrolment


@pytest.fixture
def built(tmp_path):
    """Make a table from rows of a bulk run; return it."""

    def build(rows, min_quality=0.9, by_folder=False, replace=False, **written):
        number = len(list(tmp_path.glob("out*")))
        output = bulk_output.write(tmp_path / f"out{number}", rows, **written)
        enrolled = enrolment.read(output, min_quality, by_folder=by_folder)
        table = create(tmp_path / "db", enrolled.model, enrolled.batches(), replace=replace)
        build.enrolled = enrolled
        return table

    return build


@pytest.fixture
def crowd(built):
    """Make a table of many members, in as many files; return it and their embeddings."""

    def build(count, parts=1, planted=()):
        found = bulk_output.vectors(count)
        for index, vector in planted:
            found[index] = vector
        rows = [bulk_output.row(f"m{index}", vector) for index, vector in enumerate(found)]
        return built(rows, parts=parts), found

    return build
