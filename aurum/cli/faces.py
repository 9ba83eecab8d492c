"""``aurum faces``: enrol members' faces in a vector database, and find people among them."""

# ruff: noqa: PLC0415 - LanceDB and the client are imported only where needed, for a fast start

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from aurum.batch import answers, find
from aurum.cli import FAILED, USAGE, CommandError, optional_packages, print_stderr, service, show
from aurum.cli.photos import AsJson, Concurrency, Photos, Url
from aurum.errors import text_of_rust
from aurum.settings import Settings

if TYPE_CHECKING:
    from aurum_client import Embedding

    from aurum.members import Search
    from aurum.members.duplicates import Duplicates
    from aurum.members.enrolment import Enrolment


class Commands(TyperGroup):
    """Command group that reports errors of the database as one line."""

    def invoke(self, ctx: Any) -> Any:
        """Run the subcommand."""
        try:
            return super().invoke(ctx)
        except typer.Exit:
            raise
        except (OSError, RuntimeError) as error:  # LanceDB has no errors of its own
            reason = text_of_rust(error)
            raise CommandError(FAILED, f"the members' table can't be used: {reason}") from error
        except ValueError as error:
            if type(error).__name__ == "ArgumentError":  # not imported, for a fast start
                raise CommandError(USAGE, str(error)) from None
            raise


faces = typer.Typer(
    cls=Commands,
    help="Find people among enrolled members: a vector database of their faces "
    "(docs/guides/members.md).",
    no_args_is_help=True,
)

Database = Annotated[
    str,
    typer.Option(
        "--db", metavar="FOLDER", help="Folder, or address of LanceDB, of the members' table."
    ),
]
MinQuality = Annotated[
    float,
    typer.Option(
        min=0, max=1, help="Least quality of an enrolled face; docs/design/quality.md advises 0.9."
    ),
]
ADVISED = 0.9  # a test compares it with aurum.members, which is too slow to import here


@faces.command()
def build(
    output: Annotated[
        Path, typer.Argument(metavar="BULK_OUTPUT", help="The folder that `aurum bulk run` wrote.")
    ],
    db: Database,
    *,
    min_quality: MinQuality = ADVISED,
    by_folder: Annotated[
        bool,
        typer.Option(
            "--by-folder",
            help="A photo's folder is its member: ann/1.jpg and ann/2.jpg are ann's. Default: its "
            "id is.",
        ),
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Erase the members who are there first.")
    ] = False,
) -> None:
    """Enrol the largest face of each photo of a bulk run, if it is good enough."""
    with optional_packages("backfill"):
        from aurum.members import create, enrolment
    enrolled = enrolment.read(output, min_quality, by_folder=by_folder)
    table = create(db, enrolled.model, enrolled.batches(), replace=replace)
    print(_enrolled_text(enrolled, table.stats()["members"]))


@faces.command()
def add(
    paths: Photos,
    db: Database,
    member: Annotated[str, typer.Option("--id", help="Whose photos they are.")],
    *,
    min_quality: MinQuality = ADVISED,
    url: Url = None,
    concurrency: Concurrency = 4,
) -> None:
    """Enrol the largest face of each photo for one member."""
    with optional_packages("backfill"):
        from aurum.members import MembersError, open
        from aurum.members.schema import check_member
    check_member(member)
    table = open(db)
    photos = find(paths)
    failed = added = 0
    with service(url, Settings.from_env()) as client:

        def ask(path: Path) -> Embedding:
            return client.embed(path, min_quality=min_quality)

        for path, answer in answers(photos, ask, concurrency):
            if isinstance(answer, Exception):
                failed += 1
                show.print_failure(path, answer, as_json=False)
                continue
            try:
                table.add(member, answer, photo=str(path))
                added += 1
            except MembersError as error:
                failed += 1
                print_stderr(str(error))
    if added:
        table.settle()
    print(f"{member}: {_count(added, 'face')} enrolled")
    raise typer.Exit(FAILED if failed else 0)


@faces.command()
def remove(
    members: Annotated[list[str], typer.Argument(metavar="ID", help="Members to erase.")],
    db: Database,
) -> None:
    """Erase all faces of members, from the files, too."""
    with optional_packages("backfill"):
        from aurum.members import open
    count = open(db).remove(members)
    if not count:
        raise CommandError(FAILED, f"{db}: has no faces of {', '.join(members)}")
    print(f"{', '.join(members)}: {_count(count, 'face')} erased")


@faces.command()
def search(
    photo: Annotated[Path, typer.Argument(metavar="PHOTO", show_default=False)],
    db: Database,
    *,
    top: Annotated[int, typer.Option(min=1, max=1000, help="How many members to print.")] = 5,
    far: Annotated[
        float | None,
        typer.Option(help="False accept rate of one comparison, up to 1e-2. Default: 1e-4."),
    ] = None,
    false_matches: Annotated[
        float | None,
        typer.Option(help="Instead: how many strangers a whole search may match on average."),
    ] = None,
    by: Annotated[
        str,
        typer.Option(
            metavar="best|mean", help="Compare with a member's likest face, or with their mean."
        ),
    ] = "best",
    prior: Annotated[
        float | None,
        typer.Option(
            help="Probability beforehand that a given face is the person. Default: 1 / (faces + 1)."
        ),
    ] = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Search the members for the largest face of a photo, the likest first."""
    with optional_packages("backfill"):
        from aurum.members import open
    table = open(db)
    with service(url, Settings.from_env()) as client:
        [(_, query)] = answers([photo], client.embed, concurrency=1)
    if isinstance(query, Exception):
        raise CommandError(FAILED, f"{photo}: {query}")
    found = table.search(query, top=top, far=far, false_matches=false_matches, by=by, prior=prior)
    if as_json:
        show.print_json({"path": str(photo), **asdict(found)})
    else:
        print(_search_text(photo, found))


@faces.command()
def dedupe(
    db: Database,
    *,
    far: Annotated[float, typer.Option(help="False accept rate of a pair, 1e-6 to 1e-2.")] = 1e-6,
    threshold: Annotated[
        float | None, typer.Option(min=-1, max=1, help="Least similarity, instead of --far.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per group, one per line.")
    ] = False,
) -> None:
    """List the members who seem to be one person under several ids, in groups."""
    with optional_packages("backfill"):
        from aurum.members import duplicates, open
    found = duplicates.find(open(db), far=far, at_least=threshold)
    for cluster in found.clusters:
        if as_json:
            show.print_json(asdict(cluster))
        else:
            alike = zip(cluster.members, cluster.similarities, strict=True)
            print("  ".join(f"{member} ({similarity:.4f})" for member, similarity in alike))
    print_stderr(_duplicates_text(found))


@faces.command()
def stats(db: Database) -> None:
    """Print what the table holds, as JSON: faces, members, dates, models, kind of search."""
    with optional_packages("backfill"):
        from aurum.members import open
    show.print_json(open(db).stats())


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _enrolled_text(enrolled: Enrolment, members: int) -> str:
    left = [
        f"{number} {reason}"
        for number, reason in (
            (enrolled.poor, f"below quality {enrolled.min_quality:g}"),
            (enrolled.gated, "not recognizable"),
            (enrolled.further, "not the largest of their photo"),
        )
        if number
    ]
    text = f"{_count(enrolled.enrolled, 'face')} of {_count(members, 'member')} enrolled"
    return f"{text}; left out: {', '.join(left)}" if left else text


def _search_text(photo: Path, found: Search) -> str:
    if found.threshold is None:
        head = f"no decision: {found.reason}"
    else:
        head = f"threshold {found.threshold:.4f} at FAR {found.far:g}"
        head += f" ({found.note})" if found.note else ""
    lines = [f"{photo}: {_count(found.faces, 'face')} compared, {head}"]
    words = {True: "match", False: "no match", None: "-"}
    for place, one in enumerate(found.candidates, start=1):
        sure = "" if one.probability is None else f"  probability {one.probability:.2%}"
        lines.append(
            f"  {place:>2}  {one.similarity:.4f}  {words[one.match]:<8}{sure}  {one.member}"
            f"  {one.photo}"
        )
    return "\n".join(lines)


def _duplicates_text(found: Duplicates) -> str:
    text = (
        f"{_count(len(found.clusters), 'group')} at similarity {found.threshold:.4f} and above, "
        f"of {_count(found.pairs, 'pair')} of faces"
    )
    if found.by_chance is None:
        return text
    return f"{text}; about {found.by_chance:.3g} of these pairs are alike by chance"
