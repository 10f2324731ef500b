"""What the makers' data sheets say of the GPUs that people rent and own.

Peaks are dense (without sparsity), in TFLOP/s, of the tensor cores with float32 accumulation; gaming cards do half as much that way as
their advertisements say. `bf16_tflops` is 0 where the GPU cannot multiply bfloat16: it trains in float32.

What was checked, in November 2026. The documents themselves were not at hand; figures were compared with what public pages and
repositories quote from the one that `source` names. Those of the V100, T4, A30 and H100 PCIe rest on one or two such tables, and some watts
on none. And:

- Where a sheet prints only the sparse peak (Hopper, Blackwell, Ada for data centres), half of it stands here. 989 is that of 1,979.
- The peaks are also what the arithmetic gives: multiprocessors times boost clock times operations a cycle, which are 512 for gaming cards,
  the A10G and the L40, and 1,024 for the other cards of their chips. Those of the RTX 3060, 4060 and 4070, which no whitepaper prints,
  are that arithmetic alone.
- Two documents of NVIDIA disagree on the B200 (180 or 192 GB, 7.7 or 8 TB/s, 75 or 80 TFLOP/s in float32): the lower stands here. The
  power of GPUs in the GB200 is that of the architecture brief, since the product page has none.
- An MI250X is two dies, which PyTorch sees as two GPUs: half of the data sheet stands here.
"""

import difflib
import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Gpu:
    """One data sheet.

    Attributes:
        bf16_tflops: peak of bfloat16 matrix products.
        fp32_tflops: peak of float32 outside the tensor cores.
        memory_gb: in units of 10^9 bytes.
        bandwidth_gb: memory traffic in units of 10^9 bytes a second.
        watts: board power.
        source: the data sheet.
    """

    bf16_tflops: float
    fp32_tflops: float
    memory_gb: float
    bandwidth_gb: float
    watts: float
    source: str


_AMPERE = "NVIDIA Ampere GA102 GPU Architecture whitepaper"
_ADA = "NVIDIA Ada GPU Architecture whitepaper"
_BLACKWELL = "NVIDIA RTX Blackwell GPU Architecture whitepaper"
_CARD = "NVIDIA's page of the card; peaks from its cores and boost clock"

GPUS: dict[str, Gpu] = {
    "B200": Gpu(2250, 75, 180, 7700, 1000, "NVIDIA HGX page, an eighth of HGX B200; Blackwell architecture brief"),
    "GB200": Gpu(2500, 80, 186, 8000, 1200, "NVIDIA GB200 NVL72 page, half of a superchip; Blackwell architecture brief"),
    "H200": Gpu(989, 67, 141, 4800, 700, "NVIDIA H200 data sheet"),
    "H100": Gpu(989, 67, 80, 3350, 700, "NVIDIA H100 data sheet, SXM"),
    "H100 PCIe": Gpu(756, 51, 80, 2000, 350, "NVIDIA H100 data sheet, PCIe"),
    "A100": Gpu(312, 19.5, 40, 1555, 400, "NVIDIA A100 data sheet, 40 GB SXM"),
    "A100 80GB": Gpu(312, 19.5, 80, 2039, 400, "NVIDIA A100 data sheet, 80 GB SXM"),
    "A40": Gpu(149.7, 37.4, 48, 696, 300, "NVIDIA A40 data sheet"),
    "A30": Gpu(165, 10.3, 24, 933, 165, "NVIDIA A30 data sheet"),
    "A10": Gpu(125, 31.2, 24, 600, 150, "NVIDIA A10 data sheet"),
    "A10G": Gpu(70, 35, 24, 600, 300, "NVIDIA A10G data sheet for AWS"),
    "L40S": Gpu(362, 91.6, 48, 864, 350, "NVIDIA L40S data sheet"),
    "L40": Gpu(181, 90.5, 48, 864, 300, "NVIDIA L40 data sheet"),
    "L4": Gpu(121, 30.3, 24, 300, 72, "NVIDIA L4 data sheet"),
    "T4": Gpu(0, 8.1, 16, 320, 70, "NVIDIA T4 data sheet"),
    "V100": Gpu(0, 15.7, 16, 900, 300, "NVIDIA V100 data sheet, 16 GB SXM2"),
    "V100 32GB": Gpu(0, 15.7, 32, 900, 300, "NVIDIA V100 data sheet, 32 GB SXM2"),
    "RTX 6000 Ada": Gpu(364, 91.1, 48, 960, 300, "NVIDIA RTX PRO Blackwell GPU Architecture whitepaper, table 4"),
    "RTX A6000": Gpu(154.8, 38.7, 48, 768, 300, _AMPERE),
    "RTX 5090": Gpu(209.5, 104.8, 32, 1792, 575, f"{_BLACKWELL}, table 3"),
    "RTX 5080": Gpu(112.6, 56.3, 16, 960, 360, _BLACKWELL),
    "RTX 4090": Gpu(165.2, 82.6, 24, 1008, 450, f"{_ADA}, appendix A"),
    "RTX 4080": Gpu(97.5, 48.7, 16, 717, 320, _ADA),
    "RTX 4070": Gpu(58.3, 29.1, 12, 504, 200, _CARD),
    "RTX 4060": Gpu(30.2, 15.1, 8, 272, 115, _CARD),
    "RTX 3090": Gpu(71.2, 35.6, 24, 936, 350, _AMPERE),
    "RTX 3080": Gpu(59.5, 29.8, 10, 760, 320, _AMPERE),
    "RTX 3070": Gpu(40.6, 20.3, 8, 448, 220, _AMPERE),
    "RTX 3060": Gpu(25.5, 12.7, 12, 360, 170, _CARD),
    "MI300X": Gpu(1307, 163.4, 192, 5300, 750, "AMD Instinct MI300X data sheet"),
    "MI250X": Gpu(191.5, 23.9, 64, 1638, 280, "AMD Instinct MI250X data sheet, halved"),
    "MI210": Gpu(181, 22.6, 64, 1638, 300, "AMD Instinct MI210 data sheet"),
}

_MAKERS = re.compile(r"nvidia|geforce|tesla|amd|instinct|radeon|rtx|sxm\d?")
_SIBLINGS = re.compile(r"\b(ti|super|laptop|mobile|max-q|nvl|d)\b")
_ALIASES = {"a10040gb": "A100", "v10016gb": "V100", "h10080gb": "H100", "h200141gb": "H200", "b200180gb": "B200", "6000ada": "RTX 6000 Ada"}


def find_gpu(name: str) -> str:
    """Return the table's name of a GPU, however it is written: `h100`, `NVIDIA A100-80GB`, `4090`.

    Raises:
        ValueError: it is not in the table; the message names the closest.
    """
    known = {_plain(key): key for key in GPUS} | _ALIASES
    wanted = _plain(name)
    if wanted in known:
        return known[wanted]
    close = dict.fromkeys(known[key] for key in difflib.get_close_matches(wanted, known, n=3, cutoff=0.5))
    hint = f"did you mean {' or '.join(close)}?" if close else f"known are {', '.join(GPUS)}"
    raise ValueError(f"no data sheet of a GPU {name!r} is known; {hint}")


def detect_gpu(name: str) -> str:
    """Return the table's name within the name a driver reports, the longest that fits; empty where none does.

    A sibling with other figures (RTX 4070 Ti, RTX 4090 Laptop, H100 NVL) is none of the table.
    """
    if _SIBLINGS.search(name.lower()):
        return ""
    found = (key for key in GPUS if re.search(rf"(?<![a-z0-9]){key.lower()}(?![a-z0-9])", name.lower()))
    return max(found, key=len, default="")


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", _MAKERS.sub("", name.lower()))
