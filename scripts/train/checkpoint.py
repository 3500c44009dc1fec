# SPDX-License-Identifier: MIT
"""Checkpoints that a kill, a full disk or a damaged file cannot turn into a loss."""
import os
import pathlib

import torch


class CheckpointError(Exception):
    """The message names the file and says what to do."""


def save(path, state):
    """Whole or not at all: written beside the file, synced, then renamed over it."""
    path = pathlib.Path(path)
    beside = path.with_name(path.name + ".part")
    try:
        with open(beside, "wb") as f:
            torch.save(state, f)
            f.flush()
            os.fsync(f.fileno())
        os.replace(beside, path)
    except (OSError, RuntimeError) as error:  # PyTorch's writer turns a full disk into RuntimeError
        beside.unlink(missing_ok=True)
        raise CheckpointError(f"{path} could not be written ({error}); what was saved there before is untouched: free some space and start again with --resume") from error


def load(path):
    """The state that save() was given. Only tensors and plain values are read: a checkpoint cannot run code."""
    path = pathlib.Path(path)
    if not path.exists():
        raise CheckpointError(f"{path} is not there")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(state, dict) or "net" not in state or "options" not in state:
            raise ValueError("it holds no network of scripts/train/train.py")
        return state
    except CheckpointError:
        raise
    except Exception as error:  # whatever a damaged archive makes the reader raise
        raise CheckpointError(f"{path} is damaged or no checkpoint ({type(error).__name__}: {str(error).splitlines()[0]}); take the other one of last.pt and best.pt") from error
