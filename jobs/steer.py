#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""steer.py - an external trainer, as an example: a line of JSON on stdin asks, one on stdout answers.

The model counts which of 8 letters follows which; every group is a language of its own, drawn from its name.
"""
import copy, json, math, random, sys

BATCH, LETTERS = 8, range(8)


def text(group, draw, n):  # pairs of a letter and the one that follows it
    language = random.Random(group)
    follows = [[language.gammavariate(0.3, 1) for _ in LETTERS] for _ in LETTERS]
    return [(a, draw.choices(LETTERS, follows[a])[0]) for a in draw.choices(LETTERS, k=n)]


def batch(mixture, exact, draw):  # the groups of its pairs: by chance, or as near to their shares as can be
    if not exact:
        return draw.choices(list(mixture), mixture.values(), k=BATCH)
    whole = [group for group in mixture for _ in range(int(BATCH * mixture[group]))]
    late = sorted(mixture, key=lambda group: whole.count(group) - BATCH * mixture[group])
    return whole + late[: BATCH - len(whole)]


def losses(model, part):
    pairs = {group: text(group, random.Random(group + part), 500) for group in groups}
    chance = [[n / sum(row) for n in row] for row in model["counts"]]
    return {group: -sum(math.log(chance[a][b]) for a, b in pairs[group]) / 500 for group in groups}


slots = {}
for line in sys.stdin:
    ask, answer = json.loads(line), {}
    if ask["do"] == "hello":
        groups, seed, answer = ask["groups"], ask["seed"], {"protocol": 1, "can": ["fork"]}
    if ask["do"] in ("hello", "restart"):
        model = {"counts": [[1] * 8 for _ in LETTERS], "draw": random.Random(seed)}
    if ask["do"] == "train":
        for _ in range(ask["n_steps"]):
            for group in batch(ask["mixture"], ask["exact"], model["draw"]):
                for a, b in text(group, model["draw"], 1):
                    model["counts"][a][b] += 1
    if ask["do"] in ("measure", "test"):
        answer = {"loss": losses(model, ask["do"])}
    if ask["do"] == "snapshot":
        slots[ask["slot"]] = copy.deepcopy(model)
    if ask["do"] == "restore":
        model = copy.deepcopy(slots[ask["slot"]])
    if ask["do"] == "finish":
        break
    print(json.dumps({"id": ask["id"], **answer}), flush=True)
