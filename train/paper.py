"""The paper's own numbers, and what is wrong with two of them.

Loja, Mendez, and Huang: Tables I and II. A network's row is found by its id.
"""

# variant id → TPR, FPR, ACC, PRE, F1 at 0.5 on 130 test images
TABLE_1 = {
    "resnet50-cls": {"tpr": 0.8205, "fpr": 0.0650, "acc": 0.9000, "pre": 0.8421, "f1": 0.8311},
    "resnet50-mtl": {"tpr": 0.8974, "fpr": 0.0320, "acc": 0.9461, "pre": 0.9210, "f1": 0.9000},
    "swin-cls": {"tpr": 0.5641, "fpr": 0.0870, "acc": 0.8076, "pre": 0.7333, "f1": 0.6376},
    "swin-mtl": {"tpr": 0.7435, "fpr": 0.1318, "acc": 0.8307, "pre": 0.7073, "f1": 0.7250},
}
# variant id → IoU
TABLE_2 = {
    "resnet50-seg": {"tumour": 0.6388, "background": 0.0526},
    "resnet50-mtl": {"tumour": 0.6104, "background": 0.0490},
    "swin-seg": {"tumour": 0.5280, "background": 0.0411},
    "swin-mtl": {"tumour": 0.5118, "background": 0.0415},
}

CORRECTION_1 = """\
The paper's ACC and TPR of ResNet-50 Multi-Task fit exactly one confusion matrix on 130 images (39
malignant, 91 benign): 35 true and 3 false positives. Its FPR is then 0.0330 and its F1 0.909, where
the table prints 0.0320 and 0.9000. With 130 images, its ACC has a 95 % interval of 0.893 to 0.974
and its TPR one of 0.764 to 0.959 (Wilson)."""
CORRECTION_2 = """\
The paper's background IoU of 0.04 to 0.05 cannot stand beside its tumour IoU: with BUSI's lesion
sizes, a tumour IoU of 0.6388 forces a background IoU between 0.941 and 0.964. 1 − 0.0526 = 0.947
lies inside, so the table seems to print the complement. Ours is the background IoU itself."""
# What this project set out to reach on BUSI test with the grouped split:
# metric, where it stands in metrics.json, lowest value, networks.
GOALS = (
    (
        "tumour IoU",
        ("segmentation", "tumour_iou_per_image_mean"),
        0.68,
        ("resnet50-seg", "swin-seg"),
    ),
    ("AUC", ("ranking", "auc"), 0.92, ("swin-cls", "swin-mtl")),
)
WHY_MISSED = """\
Difference of ours and the paper's value; FPR is better when lower, all others when higher. The
paper's background IoU is taken as its complement, see above. Why a row is missed: the paper's test
images have twins in its training data, ours do not; the paper's encoders may have started from
ImageNet weights (it does not say), ours began with random ones and know of ImageNet through their
small teacher alone; and the test part is small, so that all intervals are wide."""
PROTOCOL = """\
The paper splits BUSI at random, so that about a third of its test images have a twin among the
training images; ours keeps twins together, which is harder. So the two columns were not measured on
the same images."""
