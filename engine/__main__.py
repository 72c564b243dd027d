"""`python -m engine VERB`: the child process of the application. Only chooses and prepares; the work is elsewhere."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import NoReturn


def main() -> int:
    """Run one verb; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m engine")
    verbs = parser.add_subparsers(dest="verb", required=True)
    offline = verbs.add_parser("offline", help="serve the offline model over JSON lines on stdin and stdout")
    offline.add_argument(
        "--assets", type=Path, help="folder of the packaged assets (default: found beside this package)"
    )
    _train(verbs.add_parser("train", help="train as the config.json of a run directory says"))
    _evaluate(verbs.add_parser("evaluate", help="score a model; one JSON document on stdout"))
    _embed(verbs.add_parser("embed", help="turn the lines of a text file into a file of vectors"))
    _whiten(verbs.add_parser("whiten", help="write a model folder that whitens its vectors"))
    _local(verbs.add_parser("local-lm", help="serve a language model over JSON lines on stdin and stdout"))
    args = parser.parse_args()
    if args.verb == "offline":
        return _offline(args)
    if args.verb == "local-lm":
        return _local_lm(args)
    from engine import verbs as engine_verbs

    return int(getattr(engine_verbs, args.verb)(args))


def _train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run", type=Path, required=True, help="the run directory, with its config.json")
    parser.add_argument("--resume", action="store_true", help="go on where the run stopped, failed or died")
    parser.add_argument("--group", type=Path, help="the file at which the processes of one run meet")


def _evaluate(parser: argparse.ArgumentParser) -> None:
    _model(parser)
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        help="folder of the evaluation data (SentEval); of rerank also a file",
    )
    parser.add_argument("--tasks", default="sts", help="sts, transfer, all, rerank, or names: STS12,MR,...")
    parser.add_argument(
        "--mode", choices=("full", "fast"), default="full", help="of the transfer tasks; papers report full"
    )
    parser.add_argument("--whiten-own", action="store_true", help="whiten each STS task with its own sentences")
    parser.add_argument("--whiten-dim", type=int, help="dimensions kept then (default: all)")
    parser.add_argument("--predictions", type=Path, help="a .npz file to write gold and predictions into")


def _embed(parser: argparse.ArgumentParser) -> None:
    _model(parser)
    parser.add_argument("--texts", type=Path, required=True, help="a text file, one sentence a line")
    parser.add_argument("--out", type=Path, required=True, help="the .npz file to write")


def _whiten(parser: argparse.ArgumentParser) -> None:
    _model(parser)
    parser.add_argument("--corpus", type=Path, required=True, help="sentences: any file that training reads")
    parser.add_argument("--dim", type=int, help="dimensions kept (default: all)")
    parser.add_argument("--out", type=Path, required=True, help="the model folder to write")


def _model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model", help="minilm, minilm:K, a model folder, a run directory, vectors:FILE, a hub name"
    )
    parser.add_argument("--pooling", help="another pooling than the model's own")
    parser.add_argument("--max-seq-length", type=int, help="tokens kept of a text (default: the model's own)")
    parser.add_argument("--precision", choices=("fp32", "bf16", "fp16"), default="fp32")
    parser.add_argument(
        "--own-pooler", action="store_true", help="the checkpoint keeps the trained head of cls as its pooler"
    )
    parser.add_argument("--allow-pickle", action="store_true", help="read weights that are pickles")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 leaves it to the library")


def _local(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, help="a model folder or a hub name: causal or seq2seq")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N, mps")
    parser.add_argument("--dtype", choices=("auto", "fp32", "bf16", "fp16"), default="auto")


def _local_lm(args: argparse.Namespace) -> int:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    try:
        from engine.local.server import run

        return run(args.model, device=args.device, dtype=args.dtype)
    except ModuleNotFoundError as problem:
        # The reader knows by it that an extra is missing, and has the line that installs it.
        sys.stdout.write(f'{{"event": "failed", "missing": "{problem.name}"}}\n')
        return 1
    except KeyboardInterrupt:
        return 130


def _offline(args: argparse.Namespace) -> int:
    # Before numpy loads: with several threads a matrix product could come out differently in its last bits, and two
    # workers share the cores already.
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
        os.environ[name] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    from engine.offline.server import run

    try:
        return run(args.assets)
    except KeyboardInterrupt:
        return 130


def leave(code: int) -> NoReturn:
    """End the process. Once torch is loaded, taking it down takes seconds in which a run could not be resumed."""
    if "torch" not in sys.modules:
        sys.exit(code)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    leave(main())
