/** The addressees of mirror frames that were not for us. */
import { expect, test } from "bun:test";
import { Decoder } from "../../src/decode/decoder.ts";
import { LinkType } from "../../src/decode/link.ts";
import { Strangers, STRANGERS_MAX } from "../../src/decode/strangers.ts";
import { Counters } from "../../src/observe/counters.ts";
import { mirroredSegment, type Tcp } from "../support/frames.ts";

const VNI = 42;
const PORT = 80;
const SEGMENT: Tcp = {
  source: "10.0.0.1",
  destination: "10.0.0.2",
  sourcePort: 50_000,
  destinationPort: PORT,
  sequence: 1,
  flags: "A",
};

function strangersOf(...frames: Uint8Array[]): Strangers {
  const decoder = new Decoder({ vxlanPort: 4789, vnis: [VNI], ports: [PORT] }, new Counters());
  for (const frame of frames)
    decoder.decode(
      frame,
      new DataView(frame.buffer, frame.byteOffset, frame.length),
      0,
      frame.length,
      LinkType.ETHERNET,
      0,
    );
  return decoder.strangers;
}

test("frames of other VNIs are counted by VNI, and segments of ours to other ports by the service's port, both ways", () => {
  const other = { ...SEGMENT, destinationPort: 8080 };
  const answer = { ...SEGMENT, source: "10.0.0.2", destination: "10.0.0.1", sourcePort: 8080, destinationPort: 50_000 };
  const { vnis, ports } = strangersOf(
    mirroredSegment(SEGMENT, 7),
    mirroredSegment(other, 7),
    mirroredSegment(SEGMENT, 9),
    mirroredSegment(other, VNI),
    mirroredSegment(answer, VNI),
  );
  expect([...vnis]).toEqual([
    [7, 2],
    [9, 1],
  ]);
  expect([...ports]).toEqual([[8080, 2]]);
});

test("our own segments, and the server's responses, are no strangers", () => {
  const answer = { ...SEGMENT, sourcePort: PORT, destinationPort: 50_000 };
  const { vnis, ports } = strangersOf(mirroredSegment(SEGMENT, VNI), mirroredSegment(answer, VNI));
  expect([vnis.size, ports.size]).toEqual([0, 0]);
});

test("a limited number is distinguished, and the known ones are counted further", () => {
  const strangers = new Strangers();
  for (let round = 0; round < 2; round++) for (let vni = 0; vni <= STRANGERS_MAX; vni++) strangers.countVni(vni);
  expect(strangers.vnis.size).toBe(STRANGERS_MAX);
  expect(strangers.vnis.get(0)).toBe(2);
  expect(strangers.vnis.has(STRANGERS_MAX)).toBe(false);
});
