"""Write the recording rules for many models: of the default policy, or of another one to standard output.

python -m scripts.make_recordings
python -m scripts.make_recordings --policy ml/registry/policy.toml --label model --by instance,job,model
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ml.policy import parse_policy
from ml.slo.recordings import rule_file

TARGET = Path(__file__).parents[1] / "ml" / "monitoring" / "ml_recordings.yml"


def main() -> None:
    """Write the file, or print the rules for a policy that is given."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--policy", type=Path, help="the policy's file; without it the defaults are written")
    parser.add_argument("--label", default="model", help="the label that separates models")
    parser.add_argument("--by", default="instance,job,model", help="the labels that tell engines apart")
    parser.add_argument("--modeless", action="store_true", help="engines count without the label mode")
    given = parser.parse_args()
    policy = parse_policy(given.policy.read_bytes() if given.policy else None)
    text = rule_file(policy, label=given.label, by=given.by.split(","), modeless=given.modeless)
    if given.policy is None:
        TARGET.write_text(text)
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
