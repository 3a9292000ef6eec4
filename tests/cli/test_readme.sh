# SPDX-License-Identifier: GPL-3.0-or-later
# What the README says can be typed: every verb and option that it names is there, and the commands
# of two of its sections run as they stand (with fewer draws).
readme=$MIXSWEEP_TESTS/../README.md
"$MIXSWEEP_PYTHON" - "$readme" "$MIXSWEEP" <<'END'
import re
import subprocess
import sys

readme, program = sys.argv[1:]
text = open(readme, encoding="utf-8").read()


def ask(*words):
    return subprocess.run([program, *words], capture_output=True, text=True, check=True).stdout


overview = ask("--help")
verbs = [v for v in re.findall(r"^  ([a-z]+) +\S", overview, re.M) if v not in ("mixsweep", "mpirun")]
helps = {verb: ask(verb, "--help") for verb in verbs}
options = {verb: set(re.findall(r"--[a-z][a-z-]*", said)) for verb, said in helps.items()}

# commands: indented lines and `code`, up to a comment or a pipe
wrong, n = [], 0
lines = re.findall(r"^    (.*)$", text, re.M) + re.findall(r"`([^`\n]+)`", text)
for line in lines:
    for verb, rest in re.findall(r"(?<![\w/.-])mixsweep ([a-z]+)((?: [^#|;]*)?)", line):
        n += 1
        used = set(re.findall(r"(?<=\s)--[a-z][a-z-]*", rest))
        if verb not in verbs:
            wrong.append(f"no verb {verb}: {line}")
        elif used - options[verb]:
            wrong.append(f"{verb} has no {', '.join(used - options[verb])}: {line}")
assert n > 15, n

# options named alone, and those of other programs
foreign = set("--exact --overlap --mpi --bind-to --requeue --prefix --preset --oversubscribe --full "
              "--nodes --time --gpus-per-node --signal --batch --build --install --tests".split())
every = set.union(*options.values()) | foreign
for code in re.findall(r"`(--[a-z][a-z-]*)", text):
    if code not in every:
        wrong.append(f"nobody has {code}")
for verb in verbs:
    if f"`{verb}`" not in text and f"mixsweep {verb}" not in text:
        wrong.append(f"the README does not know the verb {verb}")
print("\n".join(wrong))
sys.exit(bool(wrong))
END

# section TITLE - the lines of it that are commands of ours
section() {
    awk -v title="## $1" '/^## / { on = $0 == title } on' "$readme" |
        sed -n 's/^    \(mpirun -n [0-9]* \)\{0,1\}\(mixsweep .*\|python3 jobs\/.*\)$/\2/p' |
        sed "s/ *#.*//; s/--draws 1000/--draws 3/; s/--law transfer/& --starts 2/
            s|^mixsweep|\"$MIXSWEEP\"|; s|^python3 jobs|$MIXSWEEP_PYTHON $MIXSWEEP_TESTS/../jobs|"
}
awk 'BEGIN {
    print "run,n_params,n_tokens,h_web,h_code,h_wiki,loss_web,loss_code,loss_wiki"
    for (i = 0; i < 40; i++) {
        n = 1 + i % 2
        a = 0.1 + 0.7 * ((i * 0.618034) % 1)
        b = (1 - a) * (0.2 + 0.6 * ((i * 0.414214) % 1))
        printf "m%d,%de6,2e9,%.6f,%.6f,%.6f,%.6f,%.6f,%.6f\n", i, 40 * n, a, b, 1 - a - b,
            3 + exp(-2 * a) / n, 1 + exp(-3 * b) / n, 2 + exp(-2 * (1 - a - b)) / n
    }
}' >runs.csv
for title in "Your own table of proxy runs" "Report and post-analysis"; do
    section "$title" >commands
    test "$(wc -l <commands)" -ge 4
    while read -r command; do
        case $command in
        *" report "*) command -v gnuplot >/dev/null || continue ;;
        esac
        echo "$command"
        eval "$command" >said 2>&1 || { cat said; exit 1; }
    done <commands
done
