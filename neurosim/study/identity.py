"""What makes a training the one it is: everything that decides a bit of what it learns."""

from __future__ import annotations

import json
from typing import Any

from neurosim.core.bits import BITS
from neurosim.core.protocols import State
from neurosim.data.dataset import Dataset, Labelled
from neurosim.study.code import own_code
from neurosim.study.store import digest


def identity_of(training: Any) -> str:
    """Return what a checkpoint must agree with, as JSON: everything that decides the trained bits, defaults included."""
    rules = training.rules
    law = None if training.arm.device is None else training.arm.law()
    found = {
        "bits": BITS,
        "kind": type(training).__name__,
        "experiment": training.experiment.deciding(),
        "arm": training.arm.deciding(),
        "rules": [[type(rule).__qualname__, _settings(rule)] for rule in rules],
        "seed": training.seed,
        "images": training.digest_of_images,
        "code": own_code(law, *rules, training, training.experiment),
        **training.own,
    }
    return json.dumps(found, sort_keys=True)


def _settings(rule: Any) -> dict[str, Any]:
    """All settings of a rule but for those that came later (`added`) and are not used: these decide nothing."""
    unused = {
        name
        for name in getattr(rule, "added", ())
        if getattr(rule, name) == type(rule).model_fields[name].default
    }
    found: dict[str, Any] = rule.model_dump(mode="json", exclude=unused)
    return found


def content(data: Dataset, part: Labelled, images: Any = None) -> str:
    """Digest of images and labels of a data set, and how they are taken; of images learnt without labels as well."""
    found: State = {"images": part.images, "labels": part.labels}
    if images is not None and images is not part.images:
        found["unlabelled"] = images
    return f"{digest(found)} {data.shape} {data.classes} {data.full_scale}"
