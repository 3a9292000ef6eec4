# SPDX-License-Identifier: GPL-3.0-or-later
# The irreducible loss that a law finds in trained models, against the entropy rate of the text, which
# is known for the synthetic corpus: E of Chinchilla's law within 3% of it. A model that sees 64 bytes
# pays up to (ln 2 + 2) / 64 = 0.04 nats more than the rate. About a quarter of an hour on two cores.
set -eu
cat >job.yaml <<'YAML'
job: entropy
file: entropy.h5
domains: [{name: skill1}, {name: skill2}]
design: {mixtures: 1, replicates: 1}
scales:
  - {size: 10k, n_tokens: 16e6, checkpoints: 5, replicates: 2}
  - {size: 30k, n_tokens: 16e6, checkpoints: 5, replicates: 2}
  - {size: 100k, n_tokens: 16e6, checkpoints: 5, replicates: 2}
sweep:
  evaluator: embedded
  embedded: {synthetic: {bytes: 2e7, validation_bytes: 1e5, shared: 0.5}}
YAML
mpirun -n 2 --oversubscribe "$MIXSWEEP" sweep job.yaml >sweep.log
# Below 4e6 bytes these models are still learning what a pair of bytes is: no power law.
"$MIXSWEEP" fit entropy.h5 --law chinchilla --checkpoints all --holdout none --where 'n_tokens>=4e6' \
    --format json >fit.json
"$MIXSWEEP_PYTHON" - <<'PY'
import json, h5py
E = {name[2:-1]: value for name, value in json.load(open("fit.json"))["params"].items() if name[:2] == "E["}
with h5py.File("entropy.h5") as f:
    entropy = json.loads(f["runs/metadata"][0])["entropy"]
for name, rate in entropy.items():
    print(f"{name}: entropy rate {rate:.4f}, fitted E {E[name]:.4f}")
    assert abs(E[name] / rate - 1) < 0.03
PY
