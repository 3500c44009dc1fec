# SPDX-License-Identifier: MIT
"""Checkpoints that a kill, a full disk or a damaged file cannot turn into a loss. A file is HEAD, the SHA-256 of the rest, and what torch.save() writes: its own
reader takes tensors whose bytes have changed for good."""
import hashlib
import io
import os
import pathlib

import torch

HEAD = b"kerb checkpoint 1\n"


class CheckpointError(Exception):
    """The message names the file and says what to do."""


def save(path, state):
    """Whole or not at all: written beside the file, synced, then renamed over it."""
    path = pathlib.Path(path)
    beside = path.with_name(path.name + ".part")
    content = io.BytesIO()
    torch.save(state, content)
    try:
        with open(beside, "wb") as f:
            f.write(HEAD + hashlib.sha256(content.getbuffer()).digest())
            f.write(content.getbuffer())
            f.flush()
            os.fsync(f.fileno())
        os.replace(beside, path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise CheckpointError(f"{path} could not be written ({error}); what was saved there before is untouched: free some space and start again with --resume") from error


def load(path):
    """The state that save() was given. Only tensors and plain values are read: a checkpoint cannot run code."""
    path = pathlib.Path(path)
    if not path.exists():
        raise CheckpointError(f"{path} is not there")
    content = path.read_bytes()
    digest, content = content[len(HEAD):len(HEAD) + 32], content[len(HEAD) + 32:]
    if hashlib.sha256(content).digest() != digest:
        raise CheckpointError(f"{path} is damaged or no checkpoint of scripts/train/train.py; take the other one of last.pt and best.pt")
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
