# SPDX-License-Identifier: GPL-3.0-or-later
"""count.py NAME JUNIT.xml AGAIN.xml - print "passed failed skipped" of a ctest run, each cmocka case
counted by itself, and on stderr what failed, with the end of its output. What failed and passed in
AGAIN.xml, where that exists, counts as passed and is named."""

import os
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


def cases_of(path):
    return ElementTree.parse(path).getroot().iter("testcase")


def main():
    name, path, again = sys.argv[1:]
    total = dict.fromkeys(SUMMARY, 0)
    second = {case.get("name"): case for case in cases_of(again)} if os.path.exists(again) else {}
    for case in cases_of(path):
        if case.get("status") == "fail":
            retried = second.get(case.get("name"))
            recovered = retried is not None and retried.get("status") == "run"
            what = "FAILED, then passed alone" if recovered else "FAILED"
            print(f"{what}, {name}: {case.get('name')}", file=sys.stderr)
            for line in (case.findtext("system-out") or "").splitlines()[-40:]:
                print("    " + line, file=sys.stderr)
            case = retried if recovered else case
        counts = count_cases(case.findtext("system-out") or "")
        if case.get("status") == "fail":
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
