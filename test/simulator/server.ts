/** The bytes of the mirrored servers: as many as their clients acknowledge, and more. */
import type { Random } from "../support/random.ts";
import type { Connection, Sent } from "./client.ts";

export interface Answered {
  readonly stream: Uint8Array;
  readonly sent: Sent[];
}

const SEGMENT_BYTES_MAX = 1460;
const UNACKNOWLEDGED_BYTES_MAX = 3000;
const NOTHING = new Uint8Array(0);

/** The server's side of a connection: each byte is sent before its client acknowledges it. */
export function answer(random: Random, connection: Connection): Answered {
  const acknowledged = connection.sent
    .filter(({ flags }) => flags.includes("A"))
    .map(({ acknowledgment }) => acknowledgment);
  const start = acknowledged[0] ?? random.int(0, 0xffff_ffff);
  const least = Math.max(0, ...acknowledged.map((number) => (number - start) >>> 0));
  const stream = random.bytes(least + random.int(0, UNACKNOWLEDGED_BYTES_MAX));
  const sent: Sent[] = [];
  let done = 0;
  let received = 0;
  const push = (flags: string, position: number, payload: Uint8Array, atMs: number) => {
    const sequence = (start + position - (flags.includes("S") ? 1 : 0)) >>> 0;
    const acknowledgment = (connection.isn + 1 + received) >>> 0;
    sent.push({
      connection,
      atMs,
      position,
      payload,
      sequence,
      acknowledgment,
      flags,
      isGarbage: false,
      isFromServer: true,
    });
  };
  const sayTo = (end: number, atMs: number) => {
    while (done < end) {
      const length = Math.min(random.int(1, SEGMENT_BYTES_MAX), end - done);
      push("A", done, stream.subarray(done, done + length), atMs);
      done += length;
    }
  };
  push("SA", 0, NOTHING, connection.sent[0]!.atMs);
  for (const { flags, acknowledgment, position, payload, atMs, isGarbage } of connection.sent) {
    if (flags.includes("A")) sayTo((acknowledgment - start) >>> 0, atMs);
    if (!isGarbage) received = Math.max(received, position + payload.length);
  }
  const lastMs = connection.sent.at(-1)!.atMs + random.int(0, 20);
  sayTo(stream.length, lastMs);
  if (random.chance(0.8)) push("AF", stream.length, NOTHING, lastMs);
  return { stream, sent };
}
