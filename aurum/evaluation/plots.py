"""Plots of the reports. Only this module imports matplotlib, and only to draw."""

# ruff: noqa: PLC0415 - matplotlib takes a second to import, and is in the extra `bench`

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aurum.evaluation import ValidationError, roc

if TYPE_CHECKING:
    from aurum.evaluation.calibration import Logistic
    from aurum.evaluation.verification import Verification

DPI = 110
SAME, OTHER = "tab:green", "tab:red"


def _subplots(*shape: int, **options: Any) -> tuple[Any, Any]:
    try:
        import matplotlib as mpl
    except ImportError:
        raise ValidationError(
            "plots need matplotlib: run `make setup`, or install aurum-face-serving[bench]"
        ) from None
    mpl.use("agg")
    from matplotlib import pyplot as plt

    return plt.subplots(*shape, layout="constrained", **options)


def _save(figure: Any, path: Path) -> None:
    from matplotlib import pyplot as plt

    # Without version and date, the same figures give the same file.
    figure.savefig(path, dpi=DPI, metadata={"Software": None})
    plt.close(figure)


def roc_curve(result: Verification, path: Path) -> None:
    """Plot the ROC over a logarithmic FAR, next to the distributions of similarities."""
    figure, (left, right) = _subplots(1, 2, figsize=(10, 4))
    _, far, tar = roc.curve(result.scores, result.same)
    left.step(far, tar, where="post")
    # A FAR below one impostor pair can't be measured.
    left.set(xscale="log", xlim=(1 / max(2, int((~result.same).sum())), 1), xlabel="FAR")
    left.set(ylabel="TAR", ylim=(min(0.9, float(tar[far > 0].min(initial=1))), 1.002))
    for item in result.at_far:
        left.plot(item.far, item.tar, "o", label=f"{item.tar:.2%} at FAR {item.far:g}")
    left.legend(loc="lower right")
    left.grid(alpha=0.3, which="both")
    _similarities(right, result.scores[result.same], result.scores[~result.same])
    right.axvline(result.folds.thresholds.mean(), color="black", linestyle=":")
    _save(figure, path)


def _similarities(axes: Any, genuine: NDArray[Any], impostors: NDArray[Any]) -> None:
    bins = np.linspace(-0.5, 1, 91)
    axes.hist(genuine, bins, color=SAME, alpha=0.6, density=True, label="one person")
    axes.hist(impostors, bins, color=OTHER, alpha=0.6, density=True, label="two people")
    axes.set(xlabel="cosine similarity", yticks=[])
    axes.legend(loc="upper left")


def worst_pairs(result: Verification, folder: Path, path: Path, count: int = 12) -> None:
    """Show the worst pairs side by side, to see whether a label or the model is wrong."""
    from matplotlib import image

    worst = result.worst(count)
    rows = -(-len(worst) // 3)
    figure, axes = _subplots(rows, 6, figsize=(12, 2.3 * rows), squeeze=False)
    for one in axes.flat:
        one.set_axis_off()
    for place, index in enumerate(worst):
        pair = result.pairs[index]
        row, column = divmod(place, 3)
        for offset, name in enumerate((pair.a, pair.b)):
            one = axes[row, 2 * column + offset]
            one.imshow(image.imread(folder / name), cmap="gray")
            one.set_title(Path(name).stem.replace("_", " "), fontsize=6)
        label = "one person" if pair.same else "two people"
        axes[row, 2 * column].text(
            0, 1.02, f"{label}: {result.scores[index]:.3f}", fontsize=8, va="top",
            color=SAME if pair.same else OTHER, transform=axes[row, 2 * column].transAxes,
            backgroundcolor="white",
        )  # fmt: skip
    _save(figure, path)


def bars(
    names: Sequence[str], shares: Sequence[float], ranges: Sequence[tuple[float, float]], path: Path
) -> None:
    """Plot each variant's recall as a bar, with its 95 % interval."""
    figure, axes = _subplots(figsize=(8, 0.24 * len(names) + 0.8))
    share = np.array(shares)
    errors = np.abs(np.array(ranges).reshape(-1, 2).T - share)
    axes.barh(range(len(names)), share, xerr=errors, color="tab:blue", ecolor="gray", capsize=2)
    axes.set(xlim=(0, 1.01), xlabel="recall", ylim=(-0.6, len(names) - 0.4))
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    _save(figure, path)


def calibration(
    genuine: NDArray[Any], impostors: NDArray[Any], logistic: Logistic, path: Path
) -> None:
    """Plot the distributions of similarities, and the fitted probability."""
    figure, axes = _subplots(figsize=(6, 4))
    _similarities(axes, genuine, impostors)
    grid = np.linspace(-0.5, 1, 300)
    other = axes.twinx()
    other.plot(grid, [logistic.probability(value) for value in grid], color="black")
    other.set(ylabel="probability of one person, prior 0.5", ylim=(0, 1.02))
    _save(figure, path)


def reject_curves(
    curves: Mapping[str, Mapping[str, NDArray[Any]]], shares: Sequence[float], path: Path
) -> None:
    """Plot FNMR over the share of rejected pairs, by setup and by the rejecting score."""
    figure, axes = _subplots(1, len(curves), figsize=(5 * len(curves), 4), squeeze=False)
    for one, (setup, lines) in zip(axes.flat, curves.items(), strict=True):
        for name, fnmr in lines.items():
            one.plot(100 * np.array(shares), 100 * fnmr, label=name)
        one.axhline(50 * next(iter(lines.values()))[0], color="gray", linestyle=":", label="half")
        one.set(
            title=setup, xlabel="pairs rejected, %", ylabel="FNMR at FAR 1e-3, %", ylim=(0, None)
        )
        one.grid(alpha=0.3)
    axes.flat[0].legend()
    _save(figure, path)
