/**
 * The kernel runs the same programs, as filters of a socket pair, which needs no privileges, over frames of all kinds,
 * against decode.
 */
import { dlopen, ptr } from "bun:ffi";
import { expect, test } from "bun:test";
import { isSupportedLinkType } from "../../src/decode/link.ts";
import { ENCAPSULATIONS, type Mirror } from "../../src/decode/tunnel.ts";
import { mirrorFilter, rejectedFilter } from "../../src/filter/mirror-filter.ts";
import { CORPUS_VNI } from "../fuzz/corpus.ts";
import { FrameMaker } from "../fuzz/frame-maker.ts";
import { Random } from "../support/random.ts";
import { layeredFrame } from "./layered-frames.ts";
import { Machine } from "./machine.ts";
import { isOurs, outcomeOf } from "./verdicts.ts";

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOL_SOCKET = 1;
const SO_ATTACH_FILTER = 26;
const MSG_DONTWAIT = 0x40;
const PORT = 80;
const FRAMES = 10_000;
/** The forms of a cooked handle need a packet socket: here, SKF_AD_PROTOCOL is missing. */
const COOKED = [113, 276];

/** A socket pair; one end has a filter. */
class FilteredPair {
  private readonly libc = dlopen("libc.so.6", {
    socketpair: { args: ["int", "int", "int", "ptr"], returns: "int" },
    setsockopt: { args: ["int", "int", "int", "ptr", "u32"], returns: "int" },
    send: { args: ["int", "ptr", "u64", "int"], returns: "i64" },
    recv: { args: ["int", "ptr", "u64", "int"], returns: "i64" },
    close: { args: ["int"], returns: "int" },
  }).symbols;
  private readonly fds = new Int32Array(2);
  private readonly received = new Uint8Array(1 << 17);

  constructor(private readonly program: Uint8Array) {
    if (this.libc.socketpair(AF_UNIX, SOCK_DGRAM, 0, ptr(this.fds)) !== 0) throw new Error("no socket pair");
    const header = new DataView(new ArrayBuffer(16));
    header.setUint16(0, program.length / 8, true);
    header.setBigUint64(8, BigInt(ptr(this.program)), true);
    if (this.libc.setsockopt(this.fds[1]!, SOL_SOCKET, SO_ATTACH_FILTER, ptr(header), 16) !== 0)
      throw new Error("the kernel refuses the program");
  }

  accepts(frame: Uint8Array): boolean {
    if (Number(this.libc.send(this.fds[0]!, ptr(frame), frame.length, 0)) < 0)
      throw new Error(`cannot send ${frame.length} bytes`);
    return Number(this.libc.recv(this.fds[1]!, ptr(this.received), this.received.length, MSG_DONTWAIT)) > 0;
  }

  close(): void {
    for (const fd of this.fds) this.libc.close(fd);
  }
}

const isLinux = process.platform === "linux";
test.skipIf(!isLinux).each([...ENCAPSULATIONS])(
  `%s, ${FRAMES} frames: the kernel accepts the same frames as decode`,
  (kind) => {
    const random = new Random(1);
    const vnis = kind === "vxlan" ? [CORPUS_VNI] : [1, CORPUS_VNI & 0x3ff, CORPUS_VNI, 0];
    const OURS: Mirror = { encapsulation: kind, vxlanPort: 4789, vnis, ports: kind === "vxlan" ? [PORT] : [PORT, 443] };
    const maker = new FrameMaker(random, PORT, kind);
    const pairs = new Map<number, { mirror: FilteredPair; refused: FilteredPair; refusedMachine: Machine }>();
    const counts = { ours: 0, refused: 0, neither: 0 };
    for (let i = 0; i < FRAMES; i++) {
      let { frame, linkType } = layeredFrame(random, OURS);
      if (random.chance(0.5)) {
        maker.make();
        frame = maker.frame.slice(0, maker.length);
        linkType = maker.linkType;
      }
      if (frame.length === 0 || !isSupportedLinkType(linkType) || COOKED.includes(linkType)) continue;
      let pair = pairs.get(linkType);
      if (pair === undefined) {
        const refused = rejectedFilter({ ...OURS, linkType });
        pair = {
          mirror: new FilteredPair(mirrorFilter({ ...OURS, linkType })),
          refused: new FilteredPair(refused),
          refusedMachine: new Machine(refused),
        };
        pairs.set(linkType, pair);
      }
      const expected = isOurs(outcomeOf(OURS, frame, linkType));
      const isRefused = pair.refusedMachine.run({ data: frame }) !== 0;
      if (pair.mirror.accepts(frame) !== expected || pair.refused.accepts(frame) !== isRefused) {
        throw new Error(
          `the kernel decides otherwise than decode (${expected}) or the machine (${isRefused}); frame ${i}, link type ${linkType}: ${frame.toHex()}`,
        );
      }
      counts[expected ? "ours" : isRefused ? "refused" : "neither"]++;
    }
    for (const { mirror, refused } of pairs.values()) {
      mirror.close();
      refused.close();
    }
    for (const count of Object.values(counts)) expect(count).toBeGreaterThan(1000);
  },
  60_000,
);
