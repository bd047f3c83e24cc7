"""Write a page in which one writes a digit and sees what the network makes of it.

One file, draw.html, with the network inside: it works from the disk, offline, on a phone, and
nothing leaves it. Written into the run directory; of several runs, which are shown side by side,
into outputs/draw.

The network's layers are computed in the page by plain JavaScript: linear, convolution, batch
normalization, ReLU, pooling, and what does nothing after training (dropout, noise). Where there is
Node, it runs the page's networks on 100 images, and the page is kept only if each gets the class
that torch gives.

  digits draw outputs/runs/first
  digits draw outputs/runs/first outputs/ensembles/three/model.pt
"""

import argparse
from pathlib import Path

from digits.commands import add_data_dir, data_dir_of

DEFAULT_FOLDER = Path("outputs/draw")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    runs = "run directory, model.pt or checkpoint; several are shown side by side"
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help=runs)
    out = f"where to write (default: the run directory; of several {DEFAULT_FOLDER})"
    parser.add_argument("--out", type=Path, metavar="DIR", help=out)
    add_data_dir(parser, of_run=True)


def run(arguments: argparse.Namespace) -> int:
    """Write the page, check it and print its path."""
    from digits.draw import PAGE, write_draw_page
    from digits.ensemble import member_name
    from digits.errors import DigitsError
    from digits.files import relative
    from digits.model_file import load, model_path, results_folder, run_directory
    from digits.text import screen

    paths: list[Path] = arguments.runs
    console = screen()
    with console.status("loading the networks"):
        models = {member_name(path): load(path) for path in paths}
    if len(models) < len(paths):
        raise DigitsError(
            f"two runs have the same name, got {', '.join(map(member_name, paths))}; rename one"
        )
    file = model_path(paths[0])
    folder = run_directory(file) if file.suffix != ".ckpt" else results_folder(file, "draw")
    folder = arguments.out or (folder if len(paths) == 1 else DEFAULT_FOLDER)
    with console.status("writing the page, and comparing it with torch"):
        checked = write_draw_page(folder, models, data_dir_of(paths[0], arguments.data_dir))
    path = folder / PAGE
    console.print(f"{relative(path)}: {path.stat().st_size:,} bytes; open it in a browser")
    if checked is None:
        console.print("  not compared with torch, because there is no Node (try installing nodejs)")
    else:
        console.print(
            f"  by Node, the same class as torch for {checked[0]} images; largest difference of a "
            f"logit {checked[1]:.1g} of the largest logit"
        )
    return 0
