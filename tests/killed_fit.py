"""`python -m train fit` that kills itself with SIGKILL at a moment of its second epoch:

python -m tests.killed_fit MOMENT fit ...
"""

import os
import signal
import sys

import torch

from train.__main__ import app
from train.fit import Trainer

IN_AN_EPOCH, IN_A_CHECKPOINT = "inside an epoch", "while a checkpoint is written"

_step, _checkpoint = Trainer._step, Trainer._checkpoint


def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)


def step_and_die(trainer, chosen):
    losses = _step(trainer, chosen)
    return losses if trainer.epoch == 0 else die()


def begin_the_checkpoint_and_die(trainer):
    if trainer.epoch == 2:
        torch.save = die  # the network is on the disk by then, the optimizer is not
    _checkpoint(trainer)


if __name__ == "__main__":
    moment = sys.argv.pop(1)
    if moment == IN_AN_EPOCH:
        Trainer._step = step_and_die
    else:
        Trainer._checkpoint = begin_the_checkpoint_and_die
    app()
