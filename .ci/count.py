# SPDX-License-Identifier: GPL-3.0-or-later
"""count.py JUNIT.xml NAME - print "passed failed skipped" of a ctest run, each cmocka case counted
by itself, and on stderr what failed, with the end of its output."""

import re
import sys
import xml.etree.ElementTree as ElementTree

SUMMARY = {
    "passed": r"^\[  PASSED  \] (\d+) test",
    "failed": r"^\[  FAILED  \] (\d+) test",
    "skipped": r"^\[  SKIPPED \] (\d+) test",
}


def count_cases(output):
    """Cases of a cmocka program by its closing lines; all 0 where there are none."""
    return {
        kind: sum(int(n) for n in re.findall(pattern, output, re.MULTILINE))
        for kind, pattern in SUMMARY.items()
    }


def main():
    path, name = sys.argv[1:]
    total = dict.fromkeys(SUMMARY, 0)
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        output = case.findtext("system-out") or ""
        counts = count_cases(output)
        if case.get("status") == "fail":
            print(f"FAILED {name}: {case.get('name')}", file=sys.stderr)
            for line in output.splitlines()[-40:]:
                print("    " + line, file=sys.stderr)
            counts["failed"] = max(counts["failed"], 1)
        elif case.find("skipped") is not None or case.get("status") in ("notrun", "disabled"):
            counts["skipped"] += 1
        elif not any(counts.values()):
            counts["passed"] = 1
        for kind in total:
            total[kind] += counts[kind]
    print(total["passed"], total["failed"], total["skipped"])


if __name__ == "__main__":
    main()
