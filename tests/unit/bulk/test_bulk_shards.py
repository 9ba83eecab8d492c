"""Shards divide the photos by id; what is twice or has no id is left out and counted."""

import pytest

from aurum.bulk import UsageError
from aurum.bulk.photo import Photo
from aurum.bulk.run import Tally, pending
from aurum.bulk.shards import Shard, key


class Photos:
    def __init__(self, *ids):
        self.ids = ids

    def photos(self):
        return (name and Photo(name, None, b"") for name in self.ids)

    def count(self):
        return len(self.ids)


NAMES = [f"{number}.jpg" for number in range(1000)]


def names(source, shard, done=(), tally=None):
    return [photo.id for photo in pending(source, shard, set(map(key, done)), tally or Tally())]


def test_each_photo_belongs_to_one_shard_in_any_order():
    shards = [names(Photos(*NAMES), Shard(index, 3)) for index in range(3)]
    assert sorted(name for one in shards for name in one) == sorted(NAMES)
    assert min(map(len, shards)) > 250
    assert set(names(Photos(*reversed(NAMES)), Shard(1, 3))) == set(shards[1])


def test_a_key_never_changes():
    """Otherwise a rerun by the next release would do photos twice."""
    assert key("a/b.jpg").hex() == "d60cd1dd0407a8c3e0ad03553f1d13ea"


def test_done_photos_are_skipped_and_doubtful_ones_left_out():
    tally = Tally()
    left = names(Photos("a", "b", None, "a", "c", "b"), Shard(), done=["b"], tally=tally)
    assert left == ["a", "c"]
    assert (tally.earlier, tally.left_out, tally.twice) == (1, 3, ["a", "b"])


@pytest.mark.parametrize("text", ["0/0", "4/4", "-1/4", "1", "a/b", "0/1000000", ""])
def test_a_wrong_shard_is_refused(text):
    with pytest.raises(UsageError, match="--shard"):
        Shard.parse(text)


def test_a_shard_counts_from_0():
    assert Shard.parse("3/4") == Shard(3, 4)
