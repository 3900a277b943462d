"""Write harness/virtual_time/protos.json from the sources of one Dapr version.

    python tools/dapr_protos.py <folder of the dapr module>

The folder is in the Go module cache after a build. Its generated Go code contains the descriptors,
so no compiler for protocol buffers is needed.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.json_format import MessageToJson

SOURCES = (
    "pkg/proto/common/v1/common.pb.go",
    "pkg/proto/scheduler/v1/scheduler.pb.go",
    "pkg/proto/internals/v1/apiversion.pb.go",
    "pkg/proto/internals/v1/reminders.pb.go",
    "pkg/proto/internals/v1/status.pb.go",
    "pkg/proto/internals/v1/service_invocation.pb.go",
)
RAW = re.compile(r"_rawDesc = \[\]byte\{(.*?)\n\}", re.DOTALL)


def descriptors(dapr: Path) -> str:
    """The descriptors that the Go code of a dapr module contains, as JSON."""
    found = FileDescriptorSet()
    for source in SOURCES:
        body = RAW.search((dapr / source).read_text())
        if body is None:
            sys.exit(f"{dapr / source} contains no descriptor as a list of bytes")
        raw = bytes(int(each, 16) for each in re.findall(r"0x([0-9a-f]{2})", body[1]))
        found.file.append(FileDescriptorProto.FromString(raw))
    return MessageToJson(found) + "\n"


if __name__ == "__main__":
    target = Path(__file__).parent.parent / "harness" / "virtual_time" / "protos.json"
    target.write_text(descriptors(Path(sys.argv[1])))
