/** Mirrors of many clients' connections at once, made from a seed. */
import { type CapturedFrame, mirroredSegment, type Tcp } from "../support/frames.ts";
import type { Random } from "../support/random.ts";

export const VNI = 4242;
export const PORT = 8080;

interface Session {
  frames: CapturedFrame[];
  sent: Uint8Array;
}

/**
 * One client's connection: a handshake, its bytes in pieces, the server's responses and forged resets between them, an
 * end.
 */
function session(random: Random, index: number): Session {
  const frames: CapturedFrame[] = [];
  const client = { source: `10.0.${index >> 8}.${index & 0xff}`, sourcePort: random.int(1024, 65_535) };
  const server = { source: "10.9.9.9", sourcePort: PORT };
  let sequence = random.pick([0xffff_ff00, 0x7fff_ff00, random.int(0, 0xffff_ffff)]);
  let acknowledgment = random.int(0, 0xffff_ffff);
  let timestampMs = 1_760_000_000_000 + random.int(0, 2000);
  const add = (segment: Tcp, vni = VNI) =>
    frames.push({
      frame: mirroredSegment(segment, vni, index % 5 === 0 ? [7] : []),
      timestampMs: (timestampMs += random.int(0, 30)),
    });
  const fromClient = (flags: string, payload?: Uint8Array) => {
    add({
      ...client,
      destination: server.source,
      destinationPort: PORT,
      sequence,
      acknowledgment,
      flags,
      ...(payload && { payload }),
    });
    sequence = (sequence + (payload?.length ?? 0) + (/[SF]/.test(flags) ? 1 : 0)) >>> 0;
  };
  const fromServer = (flags: string, payload?: Uint8Array) => {
    add({
      ...server,
      destination: client.source,
      destinationPort: client.sourcePort,
      sequence: acknowledgment,
      acknowledgment: sequence,
      flags,
      ...(payload && { payload }),
    });
    acknowledgment = (acknowledgment + (payload?.length ?? 0) + (/[SF]/.test(flags) ? 1 : 0)) >>> 0;
  };

  fromClient("S");
  fromServer("SA");
  fromClient("A");
  const pieces = Array.from({ length: random.int(1, 12) }, () => random.bytes(random.int(1, 1448)));
  for (const piece of pieces) {
    fromClient("PA", piece);
    // A forged reset: beyond all bytes that the client sends, so never in order.
    if (random.chance(0.1))
      add({
        ...client,
        destination: server.source,
        destinationPort: PORT,
        sequence: (sequence + 1e6) >>> 0,
        flags: "R",
      });
    if (random.chance(0.5)) fromServer("PA", random.bytes(random.int(1, 500)));
  }
  fromClient("FA");
  fromServer("FA");
  return { frames, sent: new Uint8Array(Buffer.concat(pieces)) };
}

/**
 * The mirror of twenty connections, with noise of another VNI and port between them; and the bytes that each client
 * sent.
 */
export function generatedMirror(random: Random): { frames: CapturedFrame[]; sent: Uint8Array[] } {
  const sessions = Array.from({ length: 20 }, (_, index) => session(random, index + 1));
  const noise: CapturedFrame[] = sessions.slice(0, 5).map(({ frames }) => {
    const segment: Tcp = {
      source: "10.0.0.1",
      destination: "10.9.9.9",
      sourcePort: 5555,
      destinationPort: PORT,
      sequence: 1,
      flags: "PA",
      payload: random.bytes(100),
    };
    const frame = random.chance(0.5)
      ? mirroredSegment(segment, VNI + 1)
      : mirroredSegment({ ...segment, destinationPort: PORT + 1 }, VNI);
    return { frame, timestampMs: frames[0]!.timestampMs };
  });
  const frames = [...sessions.flatMap((each) => each.frames), ...noise].sort((a, b) => a.timestampMs - b.timestampMs);
  return { frames, sent: sessions.map(({ sent }) => sent) };
}
