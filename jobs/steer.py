#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""steer.py - an external trainer, as an example: a line of JSON on stdin asks, one on stdout answers.
The model counts letters; every group draws its text from a distribution of its own.

The protocol. Every request has an "id" that its answer repeats; all else to be said goes to stderr.
  {"do": "hello", "id": 0, "protocol": 1, "groups": ["web", "code"], "n_steps": 500, "seed": 7}
      make the model; n_steps is what its schedule is planned for. Answer "protocol": 1 and
      "can": [...], which says what else may be asked: fork (snapshot, restore), weight, reference
      (freeze, excess), gradient, select. A method that needs more is refused before anything is trained.
  {"do": "restart"}  begin anew: model, optimiser, data, schedule; a frozen model stays
  {"do": "train", "mixture": {"web": 0.6, "code": 0.4}, "n_steps": 8, "exact": true}
      train on; with "exact" the counts in a batch are as near to the shares as can be, else as usual.
      "weight": {"web": 1.2, ...}, where it is given, are factors of the loss by group
  {"do": "measure", "what": ["loss"]}  validation loss of every group: "loss": {"web": 2.1, "code": 1.3},
      and "learning_rate": 1e-3 if you like
  the same, "excess"  training losses of the model and of the frozen one on the same sequences, others
      each time: "train_loss": {...}, "reference_loss": {...}
  the same, "gradient"  inner products of each group's validation gradient (outer key) with each one's
      training gradient (inner key), and norms: "alignment": {"web": {"web": 0.4, "code": 0.1}, ...},
      "train_norm": {...}, "validation_norm": 0.7, that of the mean over groups
  {"do": "test"}  loss of every group on text that no method sees: "loss": {...}, and its standard
      errors "se": {...} if known
  the same, "part": "select"  on other text, by which static mixtures that `agent compare` compares with
      are chosen; who cannot select is asked for the test, and those are tuned on the text of the report
  {"do": "freeze"}  the model of now is the reference
  {"do": "snapshot", "slot": 0}, {"do": "restore", "slot": 0}  keep the state of the run under a number,
      go back to it
  {"do": "finish"}  end, without an answer; so does the end of stdin
{"id": 3, "error": "no more text"} refuses a request; a loss that is NaN says that the model has diverged."""
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
