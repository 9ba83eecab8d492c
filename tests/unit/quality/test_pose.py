import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from aurum.imaging.align import TEMPLATE
from aurum.quality import pose


def head(yaw, pitch, roll, scale=2.3, at=(300, 200)):
    """Project a head: turned by yaw, then pitch, then roll, and seen from a distance."""
    # y points down, so scipy's turns about x and z keep their sense when z points to the camera.
    turned = Rotation.from_euler("yxz", [yaw, pitch, roll], degrees=True).as_matrix()
    return (scale * (pose.HEAD @ turned.T)[:, :2] + at)[None]


@settings(max_examples=60)
@given(
    yaw=st.floats(-89, 89),
    pitch=st.floats(-85, 85),
    roll=st.floats(-179, 179),
    scale=st.floats(0.1, 30),
)
def test_the_angles_of_a_turned_head_are_recovered(yaw, pitch, roll, scale):
    found = pose.angles(pose.rotations(head(yaw, pitch, roll, scale)))[0]

    assert found == pytest.approx([yaw, pitch, roll], abs=1e-3)


def test_signs_are_as_documented():
    right, up, clockwise = (pose.HEAD[None, :, :2].copy() for _ in range(3))
    right[0, 2, 0] += 5  # the nose moves to the right
    up[0, 2, 1] -= 5
    clockwise[0, 0, 1] -= 3  # the image-left eye rises, the other one sinks
    clockwise[0, 1, 1] += 3

    assert pose.angles(pose.rotations(right))[0, 0] > 5
    assert pose.angles(pose.rotations(up))[0, 1] > 5
    assert pose.angles(pose.rotations(clockwise))[0, 2] > 2


def test_the_template_looks_straight_ahead():
    assert np.abs(pose.angles(pose.rotations(TEMPLATE[None]))).max() < 0.5


def test_a_mirrored_face_has_the_opposite_yaw_and_roll():
    landmarks = head(25, -10, 15)
    mirrored = (landmarks * (-1, 1))[:, [1, 0, 2, 4, 3]]

    assert pose.angles(pose.rotations(mirrored))[0] == pytest.approx([-25, -10, -15], abs=1e-3)


@pytest.mark.parametrize("points", [np.zeros((1, 5, 2)), np.full((1, 5, 2), 1e6)])
def test_landmarks_in_one_point_have_no_rotation(points):
    assert np.abs(pose.angles(pose.rotations(points))).max() == 0


def test_landmarks_on_a_line_give_finite_angles():
    line = np.arange(5.0)[None, :, None] * (1, 2)

    assert np.isfinite(pose.angles(pose.rotations(line))).all()


def test_no_heads_give_no_angles():
    assert pose.angles(pose.rotations(np.zeros((0, 5, 2)))).shape == (0, 3)
    assert pose.residuals(np.zeros((0, 5, 2))).shape == (0,)


def test_residuals_are_what_no_affine_map_explains():
    landmarks = head(20, 10, -30)
    assert pose.residuals(landmarks)[0] == pytest.approx(0, abs=1e-9)

    # Five points on four dimensions (an affine map of 3-d has 4 a row) leave one of freedom a row.
    basis = np.column_stack([pose.HEAD, np.ones(5)])
    free = np.linalg.svd(basis.T)[2][4]
    landmarks[0, :, 0] += 3 * free

    assert pose.residuals(landmarks)[0] == pytest.approx(3 / np.sqrt(5), abs=1e-9)
