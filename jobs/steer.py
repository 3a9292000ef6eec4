#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""steer.py - an external trainer, as an example: a line of JSON on stdin asks, one on stdout answers.
The model counts letters; every group draws its text from a distribution of its own."""
import copy, json, math, random, sys

def text(group, draw, n):
    language = random.Random(group)
    return draw.choices(range(8), [language.gammavariate(0.3, 1) for _ in range(8)], k=n)

def loss(group, part):
    return -sum(math.log(model["counts"][a] / sum(model["counts"])) for a in text(group, random.Random(part), 500)) / 500

slots = {}
for line in sys.stdin:
    ask, answer = json.loads(line), {}
    if ask["do"] == "hello":
        groups, seed, answer = ask["groups"], ask["seed"], {"protocol": 1, "can": ["fork", "select"]}
    if ask["do"] in ("hello", "restart"):
        model = {"counts": [1] * 8, "draw": random.Random(seed)}
    if ask["do"] == "train":  # 8 letters a step
        for group, share in ask["mixture"].items():
            for a in text(group, model["draw"], int(8 * ask["n_steps"] * share + model["draw"].random())):
                model["counts"][a] += 1
    if ask["do"] in ("measure", "test"):
        answer = {"loss": {group: loss(group, ask.get("part", ask["do"])) for group in groups}}
    if ask["do"] == "snapshot":
        slots[ask["slot"]] = copy.deepcopy(model)
    if ask["do"] == "restore":
        model = copy.deepcopy(slots[ask["slot"]])
    if ask["do"] == "finish":
        break
    print(json.dumps({"id": ask["id"], **answer}), flush=True)
