"""How well a plan's estimates hold on this machine: peak memory of a training step, its time, and FLOPs.

    python benchmarks/plan_check.py memory        # a table: estimated against measured peak, for several shapes
    python benchmarks/plan_check.py time          # estimated and measured steps, and a whole short training against its promise

Each measurement runs in a process of its own, so that one's peak is not another's.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

SHAPES = {
    # name: width, layers, vocabulary, context, sequences, micro-batch, optimizer, precision, activation checkpointing
    "tiny": (64, 3, 4096, 256, 16, 16, "muon", "bf16", False),
    "small": (128, 4, 4096, 256, 16, 16, "muon", "bf16", False),
    "medium": (256, 6, 8192, 256, 16, 16, "muon", "bf16", False),
    "large": (384, 8, 8192, 256, 16, 16, "muon", "bf16", False),
    "large-micro": (384, 8, 8192, 256, 16, 4, "muon", "bf16", False),
    "large-checkpointed": (384, 8, 8192, 256, 16, 16, "muon", "bf16", True),
    "large-adamw": (384, 8, 8192, 256, 16, 16, "adamw", "bf16", False),
    "large-fp32": (384, 8, 8192, 256, 16, 16, "adamw", "fp32", False),
    "long": (256, 6, 8192, 1024, 8, 8, "muon", "bf16", False),
    "speed-s": (256, 8, 16_000, 256, 32, 32, "adamw", "bf16", False),
    "speed-g": (512, 8, 30_000, 256, 16, 16, "adamw", "bf16", False),
}
