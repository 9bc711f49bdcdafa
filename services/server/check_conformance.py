# SPDX-License-Identifier: Apache-2.0
"""Whether each test that README.md's conformance table names exists, and each supported item has one.

    check_conformance.py README.md FOLDER...
"""
import pathlib
import re
import sys


def tests_in(folders):
    """`Suite.Name` of every GoogleTest and unittest case."""
    found = set()
    for folder in folders:
        for path in pathlib.Path(folder).rglob("*_test.cc"):
            text = path.read_text(encoding="utf-8")
            found |= {f"{suite}.{name}" for suite, name in
                      re.findall(r"\bTEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\)", text)}
        for path in pathlib.Path(folder).rglob("*_test.py"):
            suite = ""
            for line in path.read_text(encoding="utf-8").splitlines():
                if match := re.match(r"class (\w+)\(", line):
                    suite = match.group(1)
                if match := re.match(r"    def (test_\w+)\(", line):
                    found.add(f"{suite}.{match.group(1)}")
    return found


def main(readme, folders):
    known = tests_in(folders)
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")]
            for line in pathlib.Path(readme).read_text(encoding="utf-8").splitlines()
            if re.match(r"\| [A-Z]+-[A-Z-]*\d+", line)]
    faults = [] if len(rows) >= 20 else ["the table is not there"]
    for row in rows:
        item, _function, _kind, supported, tests = row if len(row) == 5 else [row[0], "", "", "yes", ""]
        names = [name.strip() for name in tests.split(",") if name.strip()]
        if not names and not supported.startswith("no"):
            faults.append(f"{item}: is supported, and has no test")
        faults += [f"{item}: there is no test {name}" for name in names if name not in known]
    print("\n".join(faults) or f"{len(rows)} items, every test exists")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
