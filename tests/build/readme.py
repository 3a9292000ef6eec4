# SPDX-License-Identifier: GPL-3.0-or-later
"""readme.py ROOT PROGRAM BUILD - type what the documents say can be typed: every command of README.md, of
every --help, and of the heads of jobs/*.yaml and slurm/*, one after the other in the current folder, and
what README.md says in Python. Jobs, searches and draws are cut to a few; Slurm's sbatch and srun are
stand-ins that run the scripts here, cmake installs the build that the test belongs to."""

import glob
import os
import re
import shutil
import subprocess
import sys
import textwrap

root, program, build = map(os.path.abspath, sys.argv[1:])

ELSEWHERE = {  # what is not run here: the file of this tree that runs it, with what words
    "bash tests/run.sh": (".ci/run", "tests/run.sh"),
    "cpack -G DEB": ("tests/build/test_install.sh", "cpack -G DEB"),
    "mixsweep fit scores.h5 --law additive --targets all": ("tests/cli/test_scores.sh", "--law additive --targets all"),
    "mixsweep domains expand new.h5": ("tests/cli/test_domains.sh", "domains expand"),
    "mixsweep domains bound new.h5 sweep.h5": ("tests/cli/test_domains.sh", "domains bound"),
}
# measurements of minutes and hours, by hand: what they start has to be there
BY_HAND = r"(?:mpirun -n \d )?(?:build/release/(tests/\w+\.\w+\.bench)|(tests/\w+/\w+\.sh))\b"

SMALLER = {  # the jobs as they are, but for these
    "quickstart": [("mixtures: 20", "mixtures: 6"), ("n_tokens: 1e6, checkpoints: 3", "n_tokens: 8e3"),
                   (", mixtures: 12}", "}"), ("max_bytes: 4e6", "max_bytes: 2e5"), ("n_tokens: 1e6}", "n_tokens: 8e3}"),
                   ("validation_bytes: 32768", "validation_bytes: 1024"), ("starts: 32", "starts: 1"),
                   ("draws: 400", "draws: 3"), ("seeds: 3}", "seeds: 2}"), ("seeds: 3\n", "seeds: 1\n")],
    "command": [("mixtures: 24", "mixtures: 6"), (", n_tokens: 8000}", ", n_tokens: 800, mixtures: 1}"),
                (", n_tokens: 16000}", ", n_tokens: 900, mixtures: 1}"), ("draws: 200", "draws: 3")],
    "online": [("seeds: 5", "seeds: 1\n  steps: 100\n  trainer: simulate"), ("restricted: true", "restricted: false")],
    "agent": [("tokens: 6e6, ", ""), ("  tokens: 5e5 ", "  steps: 128 # "), ("  feedback_bytes: 12288 ", "#"),
              ("  test_bytes: 32768\n", ""), ("compare_seeds: 8", "compare_seeds: 1"),
              ("trajectories: 256", "trajectories: 20\n  trainer: simulate\n"
               "  training: {supervised: 5, updates: 5, width: 16}")],
}
FILL = [  # what stands for something else, and what a file of three domains cannot have
    ("JOB.yaml", "jobs/quickstart.yaml"), ("S.h5", "sweep.h5"), (" [OPTIONS OF SBATCH FOR THE SWEEP]", ""),
    ("--cap D=0", "--cap wiki=0 --params 7e9 --tokens 2e12 --fit transfer --no-save"),
    ("--cap wikipedia=0.1", "--cap wiki=0.1 --replace"), ("--supply wiki=4e9 ", "--supply wiki=4e11 --no-save "),
    ("--run NAME", "--run m1"), (" NAME ", " m2 "), ("exclude sweep.h5 3fa01c77-40M-800M-s0", "exclude sweep.h5 m2"),
    ("retry sweep.h5 --run 3fa01c77-40M-800M-s0", "retry sweep.h5 --run m1 --force"),
    ("record sweep.h5", "record job.h5"), ("3fa01c77-40M-800M-s0", "$(basename -s .json -a tasks/*.json | head -n 1)"),
]
BEFORE = [  # what lies there, or does not, when a command is typed
    (r"mixsweep import runs", "rm -rf sweep.h5* runs.csv; cp table.csv runs.csv"),
    (r"sbatch slurm/[agps]\w+\.sbatch job|slurm/pipe|array=|mixsweep merge job|mixsweep plan job.*emit", "rm -rf job.h5* tasks"),
    (r"sbatch slurm/analyse", 'rm -rf sweep.h5*; "$MIXSWEEP" import table.csv -o sweep.h5'),
    (r"mixsweep next .*--emit", "rm -rf tasks"),
    (r"mixsweep next .*--allocate", "mixsweep fit sweep.h5 --law transfer --replace && mixsweep bootstrap sweep.h5 --draws 20"
     " && mixsweep optimum sweep.h5 --params 7e9 --tokens 2e12 --replace"),
    (r"mixsweep (domains|optimum .*--export|agent train)", "rm -f new.csv math.csv NEW.h5 mix.yaml frozen.h5"),
    (r"mixsweep record", '"$MIXSWEEP" sweep job.yaml'),
    (r"mixsweep merge cluster", 'for i in 1 2; do "$MIXSWEEP" import table.csv -o cluster$i.h5; done'),
    (r"mixsweep merge", "rm -f all.h5"),
]
WEB = '{"web": 2.1, "code": 1.3}'
FILES = {
    "job.yaml": """job: job
file: job.h5
domains: [{name: web}, {name: code}]
design: {mixtures: 4, replicates: 1}
scales: [{n_params: 1e6, n_tokens: 1e8}, {n_params: 2e6, n_tokens: 1e8}]
sweep: {evaluator: command, command: {argv: [./loss.sh, "{h:web}", "{params}"], result: stdout}}
fit: {law: additive, starts: 1, holdout: none}
optimum: {n_params: 1e7, n_tokens: 1e9}
""",
    "loss.sh": """#!/usr/bin/awk -f
BEGIN { printf "{\\"loss\\": {\\"web\\": %f, \\"code\\": %f}}\\n", 2 + exp(-ARGV[1]), 1 + 1e6 / ARGV[2] + ARGV[1] ^ 2 }
""",
    "today.csv": "domain,share\nweb,0.7\ncode,0.295\nwiki,0.005\n",
    "ratios.csv": "run,web,code\na,0.5,0.5\nb,0.2,0.8\n",
    "metrics.csv": "run,web,code\na,2.1,1.3\nb,2.3,1.2\n",
    "result.json": '{"loss": %s}\n' % WEB,
    "train.sh": "#!/bin/sh\necho '{\"loss\": %s}' >\"$2\"\n" % WEB,
    "bin/mixsweep": """#!/bin/bash
case "$*" in
"fit "*--law*) set -- "$@" --starts 1 ;;
"compare "*) set -- "$@" --starts 1 --laws capacity,additive ;;
"bootstrap "*) set -- "${@/#1000*/20}" ;;
esac
exec "$MIXSWEEP" "$@"
""",
    "bin/python3": '#!/bin/sh\nexec "$MIXSWEEP_PYTHON" "$@"\n',
    "bin/mpirun": """#!/bin/bash
[ "$1" != -n ] || shift 2
exec "$MPIRUN" -n 2 "$@"
""",
    "bin/srun": """#!/bin/bash
while [[ $1 = -* ]]; do shift; done
exec "$@"
""",
    "bin/sbatch": """#!/bin/bash
set -e
wrap=
while [[ ${1:-} = -* ]]; do
    [ "$1" != --wrap ] || { wrap=$2; shift; }
    shift
done
if [ "$wrap" ]; then
    bash -c "$wrap" >&2
else
    n=$(sed -n 's/^#SBATCH --array=1-\\([0-9]*\\).*/\\1/p' "$1")
    for ((i = 1; i <= ${n:-1}; i++)); do
        SLURM_ARRAY_TASK_ID=$i SLURM_ARRAY_TASK_COUNT=$n bash "$@" >&2
    done
fi
echo 1
""",
    "bin/cmake": """#!/bin/bash
case $1 in
--install) exec "$CMAKE" --install "$MIXSWEEP_BUILD" "${@:3}" ;;
--version) exec "$CMAKE" "$@" ;;
*) mkdir -p build/release; ln -sf "$MIXSWEEP" build/release/mixsweep ;;
esac
""",
}

# A command begins so. A verb alone (`mixsweep run`) and parts of commands are names of things.
COMMAND = re.compile(r"(\w+=\S+ )*(mixsweep [\w-]+ \S+[. ]\S|mpirun .*(mixsweep|build/)|(bash|sbatch|cpack|python3|spack|cmake|ctest|make|ninja|sh|git"
                     r"|srun mix\w+|module) \S|(slurm|tests|build|jobs)/\S+ |\./\S+ |for \w+ in \S*; do|export \w+=|\w+=\$\()")


def read(name):
    with open(name, encoding="utf-8") as file:
        return file.read()


def prepare():
    """The folder as a user would have it, with the programs above in place of others."""
    shutil.copytree(f"{root}/jobs", "jobs")
    shutil.copytree(f"{root}/slurm", "slurm")
    os.mkdir("bin")
    for job, changes in SMALLER.items():
        text = read(f"jobs/{job}.yaml")
        for old, new in changes:
            assert old in text, f"jobs/{job}.yaml has no {old}"
            text = text.replace(old, new)
        FILES[f"jobs/{job}.yaml"] = text
    FILES["table.csv"] = FILES["larger-runs.csv"] = table()
    for name, text in FILES.items():
        with open(name, "w", encoding="utf-8") as file:
            file.write(text)
        if text.startswith("#!"):
            os.chmod(name, 0o755)
    os.environ.update(MPIRUN=shutil.which("mpirun"), CMAKE=shutil.which("cmake"), HOME=os.getcwd(), LC_ALL="C.UTF-8",
                      PATH=f"{os.getcwd()}/bin:{os.environ['PATH']}")


def table():
    """The README's own table, with rows enough."""
    lines = [re.search(r"^    (run,n_params.*)$", readme, re.M).group(1)]
    for i in range(40):
        n, a = 1 + i % 2, 0.1 + 0.7 * (i * 0.618034 % 1)
        b = (1 - a) * (0.2 + 0.6 * (i * 0.414214 % 1))
        shares = (a, b, 1 - a - b)
        losses = [1 + k + 2.718 ** (-3 * h) / n for k, h in enumerate(shares)]
        lines.append(f"m{i},{40 * n}e6,2e9," + ",".join(f"{v:.9f}" for v in (*shares, *losses)))
    return "\n".join(lines) + "\n"


def commands(text, indent):
    """Lines that begin as a command, with what continues them, without comments and prompts; of README.md
    code within lines, too."""
    text = re.sub(r"\\\n[# ]*", " ", text)
    for line, code in re.findall(rf"^{indent}(?:\$ |next: |      )?(\S.*)|(?<!`)`([^`\n]+)`(?!`)", text, re.M):
        command = re.sub(r"\s+#.*|    .*", "", line or code)
        if COMMAND.match(command):
            yield command


def type_in(command):
    """What is wrong with the command, or None."""
    if command in ELSEWHERE:
        file, words = ELSEWHERE[command]
        return None if words in read(f"{root}/{file}") else f"{file} does not run it"
    by_hand = re.match(BY_HAND, command)
    if by_hand:
        ours, script = by_hand.groups()
        return None if os.path.exists(f"{build}/{ours}" if ours else f"{root}/{script}") else "there is no such program"
    for old, new in FILL:
        command = command.replace(old, new)
    for pattern, preparation in BEFORE:
        if re.match("(mpirun -n \\d+ )?" + pattern, command):
            subprocess.run(["bash", "-ec", preparation], check=True, stdout=subprocess.DEVNULL)
    if command.startswith("export "):
        os.environ.update(word.split("=", 1) for word in command.split()[1:])
        return None
    done = subprocess.run(["bash", "-ec", command], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return f"exit status {done.returncode}\n{done.stdout[-1500:]}{done.stderr[-1500:]}" if done.returncode else None


def documents():
    yield "README.md", list(commands(readme, "    "))
    for verb in verbs:
        yield f"{verb} --help", list(commands(helps[verb], "  "))
    known = set(commands(readme, "    "))
    for name in sorted(glob.glob(f"{root}/jobs/*.yaml") + glob.glob(f"{root}/slurm/*")):
        yield name, [c for c in commands(read(name), "#     ") if c not in known]


readme = read(f"{root}/README.md")
prepare()


def ask(*words):
    return subprocess.run([program, *words], capture_output=True, text=True, check=True).stdout


verbs = [v for v in re.findall(r"^  ([a-z]+) +\S", ask("--help"), re.M) if v not in ("mixsweep", "mpirun")]
helps = {verb: ask(verb, "--help") for verb in verbs}
options = {verb: set(re.findall(r"--[a-z][a-z-]*", said)) for verb, said in helps.items()}
FOREIGN = set("--exact --overlap --mpi --bind-to --requeue --prefix --preset --oversubscribe --full --nodes --time"
              " --gpus-per-node --signal --batch --build --install --tests".split())


def wrong_names():
    """Verbs and options that README.md names in passing, and verbs that it does not name."""
    known = set.union(FOREIGN, *options.values())
    for code in re.findall(r"`([^`\n]+)`", readme):
        for verb, rest in re.findall(r"(?<![\w/.-])mixsweep ([a-z]+)((?: [^#|;]*)?)", code):
            if not set(re.findall(r"(?<=\s)--[a-z][a-z-]*", rest)) <= options.get(verb, set()):
                yield f"{verb} has no such option, or is no verb: {code}"
        if re.match("--[a-z]", code) and re.match("--[a-z-]*", code).group() not in known:
            yield f"nobody has {code}"
    for verb in verbs:
        if f"`{verb}`" not in readme:
            yield f"README.md does not know the verb {verb}"


def snippets():
    """Python of README.md: what imports runs, the rest has to be a part of a file of jobs/."""
    for block in re.findall(r"(?:^    .*\n)+", readme, re.M):
        text = textwrap.dedent(block)
        if text.startswith("import "):
            done = subprocess.run(["python3", "-c", text], capture_output=True, text=True)
            if done.returncode or not done.stdout:
                yield f"{text}\n{done.stdout}{done.stderr}"
        elif re.search(r"^for .*:$", text, re.M) and not any(text in read(f) for f in glob.glob(f"{root}/jobs/*.py")):
            yield f"in no file of jobs/:\n{text}"


n, failed = 0, [*wrong_names()]
for document, typed in documents():
    for command in typed:
        n += 1
        before = os.times()
        wrong = type_in(command)
        after = os.times()
        print(f"{sum(after[2:4]) - sum(before[2:4]):5.2f} s  {command}", flush=True)
        if wrong:
            failed.append(f"{document}: {command}\n{wrong}")
failed += snippets()
print(*failed, f"{n} commands, {len(failed)} wrong", sep="\n")
sys.exit(len(failed) > 0 or n < 80)
