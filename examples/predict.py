"""Every example picture through one network: python -m examples.predict [VARIANT]"""

import sys
from pathlib import Path

from busmtl import Predictor

predictor = Predictor(sys.argv[1] if len(sys.argv) > 1 else "resnet50-mtl")
for path in sorted((Path(__file__).parent / "images").glob("*.png")):
    result = predictor.predict(path)
    answer = []
    if result.malignant_prob is not None:
        answer.append(f"malignant with probability {result.malignant_prob:.2f}")
    if result.mask is not None:
        answer.append(f"lesion area {sum(lesion.area_px for lesion in result.lesions)} px")
    print(f"{path.name}: {', '.join(answer)} ({result.latency_ms:.0f} ms)")
