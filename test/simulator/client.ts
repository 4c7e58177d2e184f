/**
 * The clients: each connection as its kernel sent it, a list of segments with their times. mirror.ts has the mirror's
 * changes.
 */
import type { Random } from "../support/random.ts";
import { type Addresses, identityOf } from "./identity.ts";
import type { Scenario } from "./scenario.ts";

export type Ending = "fin" | "reset" | "none";

export interface Connection extends Addresses {
  readonly id: number;
  /** Addresses and ports as the program must see them (identityOf). */
  readonly identity: string;
  /** The sequence number of the SYN; the stream's first byte has the next one. */
  readonly isn: number;
  readonly stream: Uint8Array;
  /** Places in the stream at which the client begins a segment if it can. */
  readonly cuts: readonly number[];
  readonly ending: Ending;
  readonly startMs: number;
  /** The previous connection with the same addresses and ports. */
  readonly before: Connection | null;
  readonly sent: Sent[];
}

export type Content = Pick<Connection, "stream" | "cuts">;

/** One segment that a client has sent. */
export interface Sent {
  readonly connection: Connection;
  readonly atMs: number;
  /** The place of the payload's first byte in the stream; a SYN stands before place 0. */
  readonly position: number;
  readonly payload: Uint8Array;
  readonly sequence: number;
  readonly acknowledgment: number;
  readonly flags: string;
  /** The payload is not part of the stream: a keep-alive probe's byte, which repeats a received one. */
  readonly isGarbage: boolean;
  /** The server's segment: places are in the server's stream. */
  readonly isFromServer?: boolean;
}

/** The largest distance of a new ISN that counts as near the previous connection. */
const NEAR_ISN_GAP_MAX = 200_000;
/** If a SYN is at most this far below bytes with a lost SYN, it would be taken for theirs. */
const LATE_SYN_BYTES_MAX = 1 << 21;
/** Connections with the same addresses and ports within a minute: more than this cannot all be remembered. */
const REUSE_MAX = 8;
/** The approximate largest number of segments of a stream: short streams already have many segments of one byte. */
const SEGMENTS_MAX = 40;
const NOTHING = new Uint8Array(0);

/** `say`: the bytes of the connection with this number; without it, any bytes. */
export function connect(random: Random, scenario: Scenario, say?: (id: number) => Content): Connection[] {
  const connections: Connection[] = [];
  const add = (addresses: Addresses, startMs: number, before: Connection | null) => {
    const id = connections.length;
    const connection = startOf(random, scenario, addresses, id, startMs, before, say?.(id));
    new Client(random, scenario, connection).send();
    connections.push(connection);
    return connection;
  };
  const isFull = () => connections.length >= scenario.connections;
  while (!isFull()) {
    const addresses = client(random, connections.length);
    let before = add(addresses, random.int(0, 200), null);
    for (let count = 1; scenario.reuse !== "none" && count < REUSE_MAX && !isFull() && random.chance(0.6); count++) {
      before = add(addresses, reuseAt(random, scenario, before), before);
    }
    // The same client address and port, to another mirrored host.
    if (!isFull() && random.chance(0.1))
      add({ ...addresses, destination: addresses.destination + "9" }, random.int(0, 200), null);
  }
  return connections;
}

/** A new client's addresses; some share the host part, and all share the mirrored hosts. */
function client(random: Random, index: number): Addresses {
  const isV6 = random.chance(0.3);
  const host = random.int(1, 3);
  const source = isV6 ? `2001:db8::${index + 1}` : `10.${random.int(0, 1)}.0.${index + 1}`;
  const destination = isV6 ? `2001:db8:1::${host}` : `172.31.0.${host}`;
  return { source, destination, sourcePort: random.pick([1024, 40_000, 65_535, random.int(1, 65_535)]) };
}

function startOf(
  random: Random,
  scenario: Scenario,
  addresses: Addresses,
  id: number,
  startMs: number,
  before: Connection | null,
  content: Content | undefined,
): Connection {
  const length =
    content?.stream.length ??
    random.pick([0, 1, random.int(0, scenario.streamBytesMax), random.int(0, scenario.streamBytesMax)]);
  return {
    ...addresses,
    id,
    identity: identityOf(addresses, scenario.port),
    isn: before === null ? firstIsn(random, length) : nextIsn(random, before, length),
    stream: content?.stream ?? random.bytes(length),
    cuts: content?.cuts ?? [],
    ending: random.pick(["fin", "fin", "fin", "reset", "none"] as const),
    startMs,
    before,
    sent: [],
  };
}

/** Any number; often one with which the stream crosses 2^32 or 2^31. */
function firstIsn(random: Random, length: number): number {
  const anywhere = random.int(0, 0xffff_ffff);
  return random.pick([
    anywhere,
    0,
    0xffff_ffff,
    0x7fff_ffff,
    0xffff_ffff - random.int(0, length),
    0x7fff_ffff - random.int(0, length),
  ]);
}

/**
 * The ISN of the next connection with the same addresses and ports. A connection with the sequence numbers of an
 * earlier one is truly ambiguous, because its segments look like late copies; it is left out. (Tables in test/flow show
 * that its acknowledgments may distinguish the two.)
 */
function nextIsn(random: Random, before: Connection, length: number): number {
  for (;;) {
    const end = before.isn + 1 + before.stream.length + 1;
    // As Linux does it, a little further on; or nearly random.
    const near = end + random.int(1, NEAR_ISN_GAP_MAX);
    const isn = random.pick([near, random.int(0, 0xffff_ffff)]) >>> 0;
    if (!touchesAny(before, isn, length)) return isn;
  }
}

function touchesAny(before: Connection | null, isn: number, length: number): boolean {
  if (before === null) return false;
  const above = (before.isn - isn) >>> 0;
  const below = (isn - before.isn) >>> 0;
  return (
    above <= length + LATE_SYN_BYTES_MAX || below <= before.stream.length + 2 || touchesAny(before.before, isn, length)
  );
}

function reuseAt(random: Random, scenario: Scenario, before: Connection): number {
  const lastMs = before.sent.at(-1)!.atMs;
  const displacementMsMax = displacementMsMaxOf(scenario);
  switch (scenario.reuse) {
    case "none":
      throw new Error("no reuse in this scenario");
    case "quiet":
      return lastMs + displacementMsMax + scenario.repeatMsMax + random.int(1, 100);
    case "late copies":
      return lastMs + displacementMsMax + random.int(1, 100);
    case "overlapping":
      // The second SYN comes behind the first one: only their order distinguishes them.
      return Math.max(lastMs + random.int(0, 10), before.startMs + displacementMsMax + 1);
  }
}

/** A packet is delayed once, and an outer fragment of it once more. */
function displacementMsMaxOf({ delayMsMax }: Scenario): number {
  return 2 * delayMsMax;
}

/** The most sent bytes that may be sent again: those that the client has not seen acknowledged yet. */
const FLIGHT_BYTES_MAX = 20_000;

class Client {
  private atMs: number;
  private acknowledgment: number;
  /** The next byte that is sent for the first time. */
  private next = 0;

  constructor(
    private readonly random: Random,
    private readonly scenario: Scenario,
    private readonly connection: Connection,
  ) {
    this.atMs = connection.startMs;
    this.acknowledgment = random.pick([random.int(0, 0xffff_ffff), 0xffff_fff0]);
  }

  send(): void {
    const { random, scenario, connection } = this;
    const { stream, ending } = connection;
    this.sendSyn();
    while (this.next < stream.length) {
      const length = this.segmentLength();
      const isLast = this.next + length === stream.length;
      const overlap = random.chance(scenario.overlap) ? random.int(0, Math.min(this.next, 100)) : 0;
      if (isLast) this.linger();
      const carriesFin = isLast && ending === "fin" && random.chance(0.5);
      this.sendData(this.next - overlap, length + overlap, carriesFin ? "AF" : random.pick(["A", "AP", "AP", ""]));
      this.next += length;
      this.disturb();
      if (carriesFin) return this.sendEnd(true);
    }
    if (ending === "fin") this.sendData(this.next, 0, "AF");
    if (ending === "reset") this.sendData(this.next, 0, random.pick(["R", "AR"]));
    this.sendEnd(false);
  }

  private sendSyn(): void {
    const { random, scenario, connection } = this;
    const fastLength = random.chance(scenario.fastOpen)
      ? random.int(0, Math.min(connection.stream.length, scenario.segmentBytesMax))
      : 0;
    this.emit(0, connection.stream.subarray(0, fastLength), "S");
    if (random.chance(scenario.retransmit)) {
      this.wait();
      // A kernel repeats its SYN without the data.
      this.emit(0, random.chance(0.5) ? NOTHING : connection.stream.subarray(0, fastLength), "S");
    }
    // A server may take the SYN and not its data.
    this.next = random.chance(0.7) ? fastLength : 0;
    if (random.chance(0.8)) this.sendData(this.next, 0, "A");
  }

  /** Segments in between: retransmissions with other cuts, probes, forgeries, bare ACKs. */
  private disturb(): void {
    const { random, scenario, connection } = this;
    if (random.chance(scenario.retransmit)) {
      const from = random.int(Math.max(0, this.next - FLIGHT_BYTES_MAX), this.next - 1);
      this.sendData(from, random.int(1, Math.min(this.next - from, scenario.segmentBytesMax)), "A");
    }
    if (random.chance(scenario.probe)) this.probe();
    if (random.chance(scenario.forgedReset)) this.forgeReset();
    if (random.chance(0.1)) this.sendData(this.next, 0, "A");
    if (connection.stream.length > 0 && random.chance(0.1))
      this.acknowledgment = (this.acknowledgment + random.int(0, 5000)) >>> 0;
  }

  /** Often the last segments are so late that the next connection may begin before they arrive. */
  private linger(): void {
    const { random, scenario, connection } = this;
    if (scenario.reuse !== "overlapping" || random.chance(0.5)) return;
    this.atMs = Math.max(this.atMs, connection.startMs + displacementMsMaxOf(scenario) + 1);
  }

  private sendEnd(finHadData: boolean): void {
    const { random, scenario, connection } = this;
    const { stream, ending } = connection;
    if (ending === "fin" && random.chance(scenario.retransmit)) {
      const again = random.int(0, Math.min(stream.length, scenario.segmentBytesMax));
      const length = finHadData || random.chance(0.5) ? again : 0;
      this.sendData(stream.length - length, length, "AF");
    }
    // The ACK of the server's FIN.
    if (ending === "fin" && random.chance(0.7)) this.sendData(stream.length + 1, 0, "A");
    if (ending === "none" && random.chance(scenario.probe)) this.probe();
  }

  /** A byte below the next one, often a wrong one (RFC 9293, 3.8.4), after a silence. */
  private probe(): void {
    if (this.next === 0) return;
    this.atMs += this.random.int(1, 200);
    const { isn } = this.connection;
    const payload = this.random.bytes(1);
    this.push({ position: this.next - 1, payload, sequence: (isn + this.next) >>> 0, flags: "A", isGarbage: true });
  }

  /** A reset that is not at the next expected sequence number, and never can be. */
  private forgeReset(): void {
    const { isn, stream } = this.connection;
    const below = isn - this.random.int(0, 5000);
    const above = isn + 1 + stream.length + this.random.int(2, 5000);
    this.push({
      position: 0,
      payload: NOTHING,
      sequence: this.random.pick([below, above]) >>> 0,
      flags: "R",
      isGarbage: true,
    });
  }

  private sendData(position: number, length: number, flags: string): void {
    this.wait();
    this.emit(position, this.connection.stream.subarray(position, position + length), flags);
  }

  private emit(position: number, payload: Uint8Array, flags: string): void {
    const sequence = (this.connection.isn + position + (flags.includes("S") ? 0 : 1)) >>> 0;
    this.push({ position, payload, sequence, flags, isGarbage: false });
  }

  private push(sent: Pick<Sent, "position" | "payload" | "sequence" | "flags" | "isGarbage">): void {
    const acknowledgment = sent.flags.includes("A") ? this.acknowledgment : 0;
    this.connection.sent.push({ ...sent, connection: this.connection, atMs: this.atMs, acknowledgment });
  }

  private segmentLength(): number {
    const left = this.connection.stream.length - this.next;
    const least = Math.max(1, Math.floor(this.connection.stream.length / SEGMENTS_MAX));
    const most = Math.max(least, this.scenario.segmentBytesMax);
    const length = Math.min(left, this.random.chance(0.3) ? most : this.random.int(least, most));
    const cut = this.connection.cuts.find((position) => position > this.next);
    return cut === undefined ? length : Math.min(length, cut - this.next);
  }

  private wait(): void {
    if (this.random.chance(0.7)) this.atMs += this.random.int(0, this.scenario.pauseMsMax);
  }
}
