"""``python -m benchmarks gallery``: make a page of pictures with the service's answers.

By default it writes docs/reports/gallery.md, whose pictures may be published. With `--photos` it
uses your own folder and writes to `--out`: it draws the faces found, and checks their number if it
is given in `--counts` (lines of `file,faces`). With `--pictures` it only writes the pictures,
without marks.
"""

from __future__ import annotations

import argparse
import csv
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import cv2
from aurum_client import Analysis, AurumError

from aurum.cli.draw import mark
from aurum.evaluation import boxes
from aurum.evaluation.target import Target, serving
from aurum.imaging.decoding.decode import decode
from aurum.paths import CHECKOUT
from aurum.settings import Settings
from benchmarks.gallery.judge import FAR, Judge
from benchmarks.gallery.scenes import pictures

PHOTOS = (".jpg", ".jpeg", ".png", ".webp")
COMMAND = ".venv/bin/python -m benchmarks gallery"


class Entry(NamedTuple):
    """One picture of the page."""

    section: str
    title: str
    drawing: Path | None
    said: str
    verdict: str


def made(judge: Judge, folder: Path, settings: Settings) -> Iterator[Entry]:
    """Yield the entries of the pictures in `scenes`."""
    for number, picture in enumerate(pictures(judge.find), start=1):
        answer = judge.analyze(picture.data)
        target = folder / f"{number:02}-{picture.stem}.jpg"
        drawing = draw(picture.data, answer, target, settings)
        said, wrong = judge.judge(picture, answer)
        verdict = f"**wrong**: {wrong}" if wrong else "right"
        title = f"{picture.who}: {picture.title}"
        yield Entry(picture.section, title, drawing, said, verdict)


def write(judge: Judge, folder: Path) -> int:
    """Write the pictures of `scenes` to files; return their number."""
    folder.mkdir(parents=True, exist_ok=True)
    number = 0
    for number, picture in enumerate(pictures(judge.find), start=1):
        suffix = ".png" if picture.data.startswith(b"\x89PNG") else ".jpg"
        (folder / f"{number:02}-{picture.stem}{suffix}").write_bytes(picture.data)
    return number


def given(
    judge: Judge, photos: Path, counts: Mapping[str, int], folder: Path, settings: Settings
) -> Iterator[Entry]:
    """Yield the entries of the photos in a folder."""
    for path in sorted(path for path in photos.iterdir() if path.suffix.lower() in PHOTOS):
        data = path.read_bytes()
        try:
            answer = judge.analyze(data)
        except AurumError as error:
            yield Entry("Photos", path.name, None, str(error), "")
            continue
        drawing = draw(data, answer, folder / f"{path.name}.jpg", settings, 1280)
        said = f"{len(answer)} face{'s' * (len(answer) != 1)}"
        if len(answer):
            ends = (f"{value:.2f}" for value in (answer.quality.min(), answer.quality.max()))
            said += f", quality {' to '.join(dict.fromkeys(ends))}"
        verdict = ""
        if path.name in counts:
            there = counts[path.name]
            verdict = "right" if there == len(answer) else f"**wrong**: there are {there}"
        yield Entry("Photos", path.name, drawing, said, verdict)


def draw(data: bytes, answer: Analysis, target: Path, settings: Settings, side: int = 320) -> Path:
    """Write the photo with its faces marked, at most `side` pixels wide."""
    photo = mark(decode(data, settings.max_image_bytes, settings.max_image_pixels), answer)
    scale = min(1.0, side / photo.shape[1])
    small = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    quality = [cv2.IMWRITE_JPEG_QUALITY, 78]
    target.write_bytes(cv2.imencode(".jpg", small[..., ::-1], quality)[1].tobytes())
    return target


RULE = (
    "A picture is right if every face was found (IoU of at least {iou}), no other face was "
    "found, and each was recognized: its likeness (cosine) is at least {threshold:.2f}, the "
    "embedder's threshold at FAR {far:g}, to the plain portrait of the person shown, and to "
    "nobody else's. Landmarks of the image-left side are orange, those of the image-right side "
    "blue.\n\n"
    "The people are Eileen Collins (NASA) and Grace Hopper (US Navy); both photos are in the "
    "public domain. The photographer, the cat and the coffee are scikit-image's (CC0). None of "
    "these photos shows a group, so groups are copies side by side. `--photos FOLDER --out "
    "FOLDER` makes a gallery of your own photos."
)


def page(entries: Sequence[Entry], target: Target, rule: str, command: str) -> str:
    """Return the gallery in Markdown, with links to the drawings next to it."""
    judged = [entry for entry in entries if entry.verdict]
    wrong = sum(entry.verdict != "right" for entry in judged)
    lines = [
        "# Gallery",
        "",
        f"Written by `{command}`, which asks a real server (detector `{target.detector}`, embedder "
        f"`{target.embedder}`) with its default settings. {rule}",
    ]
    if judged:
        lines += ["", f"**{len(judged) - wrong} of {len(judged)} are right, {wrong} are wrong.**"]
    for section in dict.fromkeys(entry.section for entry in entries):
        lines += ["", f"## {section}", "", "| | picture | the service's answer | |"]
        lines.append("| --- | --- | --- | --- |")
        for entry in entries:
            if entry.section == section:
                image = (
                    f"![{entry.title}](gallery/{quote(entry.drawing.name)})"
                    if entry.drawing
                    else ""
                )
                lines.append(f"| {image} | {entry.title} | {entry.said} | {entry.verdict} |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Query the service, draw, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", action="append", default=[], help="use a running server")
    parser.add_argument("--photos", type=Path, help="a folder of your own photos")
    parser.add_argument("--counts", type=Path, help="CSV with the columns file and faces")
    parser.add_argument("--out", type=Path, help="folder of gallery.md (default: docs)")
    parser.add_argument("--pictures", type=Path, help="only write the pictures to this folder")
    options = parser.parse_args(arguments)
    if options.photos and not options.out:
        parser.error("--photos needs --out, as your photos are not for docs/")
    settings = Settings.from_env()
    with serving(options.url, settings) as target, target.client() as client:
        judge = Judge(client)
        if options.pictures:
            print(f"{write(judge, options.pictures)} pictures: {options.pictures}")
            return
        out = options.out or CHECKOUT / "docs" / "reports"
        folder = out / "gallery"
        if not options.out:  # our own folder; other folders may contain other files
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        if options.photos:
            counts = _counts(options.counts) if options.counts else {}
            entries = list(given(judge, options.photos, counts, folder, settings))
            text = page(entries, target, "", f"{COMMAND} --photos {options.photos} --out {out}")
        else:
            entries = list(made(judge, folder, settings))
            rule = RULE.format(iou=boxes.MIN_IOU, threshold=judge.threshold, far=FAR)
            text = page(entries, target, rule, COMMAND)
    (out / "gallery.md").write_text(text, encoding="utf-8")
    print(f"{len(entries)} pictures: {out / 'gallery.md'}")


def _counts(path: Path) -> dict[str, int]:
    with path.open(encoding="utf-8", newline="") as file:
        return {row["file"]: int(row["faces"]) for row in csv.DictReader(file)}
