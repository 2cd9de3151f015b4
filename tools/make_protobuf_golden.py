"""Make `tests/kinds/protobuf/published.jsonl.gz` from the test data that Kubernetes publishes with its types.

    go mod download k8s.io/api@v0.36.3
    python tools/make_protobuf_golden.py "$(go env GOMODCACHE)" --version v0.36.3

`k8s.io/api/testdata/HEAD` holds one object of every kind with every field set, as JSON and as protobuf. Taken are the kinds that
`lightship.kinds.protobuf` knows. Each line is one of them: `kind` (`apiVersion/kind`), `protobuf` (base64) and `json`. The file is
compressed without a time stamp, so that the same data make the same file.
"""

import argparse
import base64
import gzip
import json
import pathlib

from lightship.kinds import protobuf

TARGET = pathlib.Path(__file__).parent.parent / "tests" / "kinds" / "protobuf" / "published.jsonl.gz"


def main() -> None:
    parser = argparse.ArgumentParser(description="make the golden protobuf vectors of built-in kinds")
    parser.add_argument("directory", type=pathlib.Path, help="a Go module cache, or any folder with k8s.io/api@<version> in it")
    parser.add_argument("--version", default="v0.36.3")
    options = parser.parse_args()
    folder = options.directory / "k8s.io" / f"api@{options.version}" / "testdata" / "HEAD"
    lines = []
    for path in sorted(folder.glob("*.pb")):
        obj = json.loads(path.with_suffix(".json").read_text())
        api_version, kind = obj.get("apiVersion", ""), obj.get("kind", "")
        if protobuf.encodes(api_version, kind):
            case = {"kind": f"{api_version}/{kind}", "protobuf": base64.b64encode(path.read_bytes()).decode(), "json": obj}
            lines.append(json.dumps(case, separators=(",", ":"), ensure_ascii=False))
    if not lines:
        raise SystemExit(f"no published test data under {folder}: run `go mod download` first")
    TARGET.write_bytes(gzip.compress("\n".join([*lines, ""]).encode(), 9, mtime=0))
    print(f"{TARGET.name}: {len(lines)} kinds, {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
