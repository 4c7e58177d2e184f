/** Traffic that a mirror delivers beside ours, each with the reason under which it must be counted. */
import * as build from "../support/frames.ts";
import type { Random } from "../support/random.ts";
import type { Connection } from "./client.ts";
import type { Mirror } from "./mirror.ts";
import type { Scenario } from "./scenario.ts";

/** Adds one frame that is not ours, as similar to ours as possible. */
export function addForeign(
  random: Random,
  scenario: Scenario,
  mirror: Mirror,
  connection: Connection,
  arrivalMs: number,
): void {
  const { vni, port, vxlanPort } = scenario;
  const { source, destination, sourcePort } = connection;
  const payload = random.bytes(random.int(0, 100));
  const sequence = (connection.isn + 1 + random.int(0, connection.stream.length)) >>> 0;
  const segment = {
    source,
    destination,
    sourcePort,
    destinationPort: port,
    sequence,
    acknowledgment: 1,
    flags: random.pick(["A", "AF", "S", "R"]),
    payload,
  };
  const inner = (changes: Partial<build.Tcp>) => {
    const changed = { ...segment, ...changes };
    return build.ethernet(build.ip(changed.source, changed.destination, build.TCP, build.tcp(changed)));
  };
  const outer = { vni, port: vxlanPort };
  const otherPort = port === 65_535 ? 65_534 : port + 1;
  const add = (reason: string, packet: Uint8Array) => mirror.inject(mirror.link(packet), arrivalMs, reason);

  switch (random.int(0, 11)) {
    case 0:
      return add("other_vni", build.vxlanPacket(inner({}), { ...outer, vni: (vni + 1) & 0xffffff }));
    case 1:
      return add("other_port", build.vxlanPacket(inner({ destinationPort: otherPort, sourcePort: otherPort }), outer));
    case 2:
      return add(
        "from_server",
        build.vxlanPacket(
          inner({ source: destination, destination: source, sourcePort: port, destinationPort: otherPort }),
          outer,
        ),
      );
    case 3:
      return add(
        "not_tcp",
        build.vxlanPacket(
          build.ethernet(build.ip(source, destination, build.UDP, build.udp(sourcePort, port, payload))),
          outer,
        ),
      );
    case 4:
      return add("other_udp_port", build.vxlanPacket(inner({}), { ...outer, port: vxlanPort + 1 }));
    case 5:
      return add("not_vxlan", build.vxlanPacket(inner({}), { ...outer, flags: 0xf7 }));
    case 6:
      return add(
        "not_vxlan",
        build.ip("10.9.9.9", "10.9.9.8", build.UDP, build.udp(1, vxlanPort, random.bytes(random.int(0, 7)))),
      );
    case 7:
      return add("not_udp", build.ip("10.9.9.9", "10.9.9.8", build.TCP, build.tcp(segment)));
    case 8:
      return add("inner_not_ip", build.vxlanPacket(build.bytes(new Uint8Array(12), [0x08, 0x06], payload), outer));
    case 9:
      return add(
        "malformed_inner",
        build.vxlanPacket(build.ethernet(build.bytes([0x42], inner({}).subarray(15))), outer),
      );
    case 10:
      return add("malformed_outer", build.vxlanPacket(inner({}), outer).subarray(0, random.int(1, 19)));
    default: {
      // A TCP header that claims to be longer than the packet.
      const broken = build.tcp({ ...segment, payload: new Uint8Array(0) });
      broken[12] = 0xf0;
      return add(
        "malformed_inner",
        build.vxlanPacket(build.ethernet(build.ip(source, destination, build.TCP, broken)), outer),
      );
    }
  }
}
