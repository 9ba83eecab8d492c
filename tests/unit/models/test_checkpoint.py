"""Checkpoints are read without running what their pickles ask for."""

import os
import pickle
import zipfile
from collections import OrderedDict

import checkpoints
import numpy as np
import pytest

from aurum.models.families import checkpoint
from aurum.models.families.checkpoint import CheckpointError

TENSORS = {
    "module.conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "bn.num_batches_tracked": np.array([5], np.int64),
}


@pytest.fixture
def read(tmp_path):
    """Write bytes to a file, and read it as a checkpoint."""

    def read(data):
        path = tmp_path / "some.pth"
        path.write_bytes(data)
        return checkpoint.read(path)

    return read


class Calls:
    """Pickled, it is a call of any function."""

    def __init__(self, function, *arguments):
        self.made = (function, arguments)

    def __reduce__(self):
        return self.made


def test_tensors_are_read_by_name(read):
    found = read(checkpoints.written(TENSORS))
    assert list(found) == ["conv.weight", "bn.num_batches_tracked"]
    for value, wanted in zip(found.values(), TENSORS.values(), strict=True):
        assert value.dtype == wanted.dtype
        np.testing.assert_array_equal(value, wanted)


@pytest.mark.parametrize("place", range(5))
def test_a_pickle_that_would_run_a_command_is_refused(read, tmp_path, place):
    evidence = tmp_path / "ran"
    harm = pickle.dumps(OrderedDict(a=Calls(os.system, f"touch {evidence}")), 2)
    pickles = [pickle.dumps(item, 2) for item in (checkpoints.MAGIC, checkpoints.VERSION, {})]
    pickles += [checkpoints.described({}), pickle.dumps([], 2)]
    pickles[place] = harm
    with pytest.raises(CheckpointError, match=r"asks for posix\.system, which is not allowed"):
        read(b"".join(pickles))
    assert not evidence.exists()
    pickle.loads(harm)  # the attack is real
    assert evidence.exists()


@pytest.mark.parametrize(
    "function", [eval, getattr, __import__, open, np.load, pickle.loads], ids=lambda f: f.__name__
)
def test_no_other_function_may_be_named(read, function):
    data = checkpoints.joined(pickle.dumps(Calls(function, "x"), 2), {})
    with pytest.raises(CheckpointError, match="is not allowed"):
        read(data)


def test_an_allowed_name_cannot_be_altered_for_the_next_file(read):
    # BUILD sets attributes of what the pickle has named.
    harm = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}X\x01\x00\x00\x00xK\x01s\x86b."
    with pytest.raises(CheckpointError):
        read(checkpoints.joined(harm, {}))
    read(checkpoints.written(TENSORS))


@pytest.mark.parametrize(
    ("shape", "strides", "offset", "size"),
    [((10**6, 10**6), (0, 0), 0, 4), ((4,), (1,), 1, 4), ((4,), (2,), 0, 8), ((-1,), (1,), 0, 4)],
    ids=["huge", "beyond its storage", "with gaps", "negative"],
)
def test_a_tensor_beyond_its_storage_is_refused(shape, strides, offset, size):
    storage = checkpoint._Storage("0", np.dtype("<f4"), size)
    with pytest.raises(ValueError, match="a tensor that is not allowed"):
        checkpoint._tensor(storage, offset, shape, strides)


def test_a_storage_of_another_size_is_refused(read):
    name = "module.conv.weight"
    pickled = checkpoints.described(TENSORS, {name: 10**12})
    with pytest.raises(CheckpointError, match="a storage that is not allowed"):
        read(checkpoints.joined(pickled, dict(enumerate(TENSORS.values()))))
    pickled = checkpoints.described(TENSORS, {name: 25})
    with pytest.raises(CheckpointError, match="'0' is not 25 numbers long"):
        read(checkpoints.joined(pickled, dict(enumerate(TENSORS.values()))))


@pytest.mark.parametrize("length", [0, 1, 30, 200, -1])
def test_a_truncated_file_is_refused(read, length):
    with pytest.raises(CheckpointError, match=r"some\.pth is not a checkpoint of tensors"):
        read(checkpoints.written(TENSORS)[:length])


def test_another_format_is_refused(read, tmp_path):
    with pytest.raises(CheckpointError, match="magic number and format are 1, 1001"):
        read(checkpoints.written(TENSORS, magic=1))
    with zipfile.ZipFile(tmp_path / "new.pth", "w") as archive:  # as PyTorch writes since 1.6
        archive.writestr("archive/data.pkl", pickle.dumps({}))
    with pytest.raises(CheckpointError, match=r"new\.pth is not a checkpoint"):
        checkpoint.read(tmp_path / "new.pth")


def test_a_large_file_is_not_read(read, monkeypatch):
    monkeypatch.setattr(checkpoint, "MOST_BYTES", 100)
    with pytest.raises(CheckpointError, match="has more than 100 bytes"):
        read(checkpoints.written(TENSORS))
