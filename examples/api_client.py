"""Ask a running demo over its API: python -m examples.api_client [ADDRESS] [IMAGE] [VARIANT]

ADDRESS is http://127.0.0.1:7860 or a Space such as org/name; `pip install gradio_client` is all
that this file needs.
"""

import base64
import sys
from pathlib import Path

from gradio_client import Client, handle_file

GIVEN = dict(enumerate(sys.argv[1:]))
address = GIVEN.get(0, "http://127.0.0.1:7860")
image = Path(GIVEN.get(1, Path(__file__).parent / "images" / "malignant-bus_0251-r.png"))
variant = GIVEN.get(2, "resnet50-mtl")

client = Client(address, verbose=False)
answer = client.predict(handle_file(image), variant, api_name="/predict")
if answer["malignant_prob"] is not None:
    print(f"{image.name}: malignant with probability {answer['malignant_prob']:.3f}")
for lesion in answer["lesions"]:
    print(f"lesion of {lesion['area_px']} px, {lesion['major_axis_px']:.0f} px long")
if answer["mask_png_base64"] is not None:
    mask = Path(f"{image.stem}-mask.png")
    mask.write_bytes(base64.b64decode(answer["mask_png_base64"]))
    print(f"mask written to {mask}")
