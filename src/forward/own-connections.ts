/**
 * The connections that this program has made, in memory that all its threads share: if plain frames are captured, these
 * connections may be among them, and must not be forwarded again. A connection is known before its first byte is sent.
 * While it is being made its own port is not known yet, so any SYN to its destination may be its own; if the SYN is
 * another connection's, that one is joined at its first request.
 */
import type { ForwardAddress } from "../address.ts";
import { addressGroups, versionOf } from "../http/client-address.ts";
import { bunConnector, type Connector, type SocketEvents, type UpstreamSocket } from "./socket.ts";
import type { Tls } from "./tls.ts";

/** Twice as many as there can be connections in LINGER_MS: more than a host has ports. */
const SLOTS = 1 << 17;
/** A connection is within this many slots behind its hash; if others have all of these, it is not used. */
const PROBES_MAX = 64;
/**
 * A slot's words: the connection's mark (0: the slot was never used), its number of open sockets, and when it is
 * forgotten.
 */
const SLOT_WORDS = 3;
const OPEN = 1;
const FORGOTTEN_S = 2;
/**
 * Counters of connections being made, by the hash of their destination; destinations with the same hash are counted
 * together.
 */
const DESTINATIONS = 256;
/** How long a closed connection is known, for its late segments: as long as TCP keeps its ports from others. */
export const LINGER_MS = 60_000;

/** Told of a connection that is not used: among captured frames it could not be told from others' connections. */
export const UNKNOWN_OWN = "more connections to it are open, or just were, than can be kept apart from captured ones";

const ADDRESS_WORDS = 4;
const SERVER = 4;
const PORTS = 8;
/** Words of an identity (decode/segment.ts) that tell a connection: addresses and ports, and not the VNI. */
const CONNECTION_WORDS = 9;

/** A socket's addresses and ports, which identify its connection. */
interface Ends {
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
}

/** The memory with which another thread knows the same connections. */
export type SharedConnections = SharedArrayBuffer;

/** The connections of this program, in shared memory. */
export class OwnConnections {
  private readonly destinations: Int32Array;
  private readonly slots: Int32Array;

  constructor(readonly shared: SharedConnections = new SharedArrayBuffer((DESTINATIONS + SLOTS * SLOT_WORDS) * 4)) {
    this.destinations = new Int32Array(shared, 0, DESTINATIONS);
    this.slots = new Int32Array(shared, DESTINATIONS * 4);
  }

  /** Whether the connection with this identity (decode/segment.ts) is one of ours; with `isSyn`, whether it may be. */
  has(identity: Int32Array, isSyn: boolean): boolean {
    const slot = this.find(identity);
    if (slot >= 0 && this.isAlive(slot)) return true;
    return isSyn && Atomics.load(this.destinations, destinationOf(identity)) > 0;
  }

  /** A connection to this destination is being made. Returns the function to call when that has succeeded or failed. */
  connecting(address: ForwardAddress): () => void {
    const identity = new Int32Array(CONNECTION_WORDS);
    writeAddress(identity, SERVER, address.host);
    identity[PORTS] = address.port;
    const destination = destinationOf(identity);
    Atomics.add(this.destinations, destination, 1);
    return () => void Atomics.sub(this.destinations, destination, 1);
  }

  /**
   * A connection is open. Returns the function to call when it is closed; null: it cannot be known, and must not be
   * used.
   */
  opened({ localAddress, localPort, remoteAddress, remotePort }: Ends): (() => void) | null {
    const identity = new Int32Array(CONNECTION_WORDS);
    writeAddress(identity, 0, localAddress);
    writeAddress(identity, SERVER, remoteAddress);
    identity[PORTS] = (localPort << 16) | remotePort;
    const slot = this.take(identity);
    if (slot < 0) return null;
    return () => {
      Atomics.store(this.slots, slot + FORGOTTEN_S, Math.ceil((Date.now() + LINGER_MS) / 1000));
      Atomics.sub(this.slots, slot + OPEN, 1);
    };
  }

  /** The slot of a connection; -1: it has none. */
  private find(identity: Int32Array): number {
    const [hash, mark] = [hashOf(identity, 0), markOf(identity)];
    for (let probe = 0; probe < PROBES_MAX; probe++) {
      const slot = slotAt(hash, probe);
      const found = Atomics.load(this.slots, slot);
      if (found === mark) return slot;
      if (found === 0) return -1;
    }
    return -1;
  }

  /** Finds a slot for a connection, and counts one more open socket in it; -1: all slots are taken. */
  private take(identity: Int32Array): number {
    const [hash, mark] = [hashOf(identity, 0), markOf(identity)];
    let slot = this.find(identity);
    for (let probe = 0; slot < 0 && probe < PROBES_MAX; probe++) {
      const at = slotAt(hash, probe);
      const before = Atomics.load(this.slots, at);
      if (before !== 0 && this.isAlive(at)) continue;
      if (Atomics.compareExchange(this.slots, at, before, mark) === before) slot = at;
    }
    if (slot >= 0) Atomics.add(this.slots, slot + OPEN, 1);
    return slot;
  }

  private isAlive(slot: number): boolean {
    if (Atomics.load(this.slots, slot + OPEN) > 0) return true;
    return Atomics.load(this.slots, slot + FORGOTTEN_S) * 1000 > Date.now();
  }
}

/** A connector that makes its connections known as ours. */
export class OwnConnector implements Connector {
  readonly lookup: Connector["lookup"];
  readonly afterEvents: Connector["afterEvents"];

  constructor(
    private readonly connector: Connector,
    private readonly own: OwnConnections,
  ) {
    this.lookup = (name, found) => connector.lookup(name, found);
    this.afterEvents = (callback) => connector.afterEvents(callback);
  }

  connect(address: ForwardAddress, events: SocketEvents, tls: Tls | null): void {
    this.connector.connect(address, new OwnEvents(events, this.own, address), tls);
  }
}

/** The connector of sockets. `own`: makes its connections known there; undefined: none can be captured. */
export function socketConnector(own: OwnConnections | undefined): Connector {
  return own === undefined ? bunConnector : new OwnConnector(bunConnector, own);
}

/** Passes on the events of one of our connections. */
class OwnEvents implements SocketEvents {
  private readonly known: () => void;
  private forget = () => {};

  constructor(
    private readonly events: SocketEvents,
    private readonly own: OwnConnections,
    address: ForwardAddress,
  ) {
    this.known = own.connecting(address);
  }

  opened(socket: UpstreamSocket): void {
    // This comes before it stops being one that is being made: at no moment is it unknown.
    const forget = this.own.opened(socket as unknown as Ends);
    if (forget === null) {
      socket.terminate();
      this.failed(new Error(UNKNOWN_OWN));
      return;
    }
    this.forget = forget;
    this.known();
    this.events.opened(socket);
  }

  failed(error: Error): void {
    this.known();
    this.events.failed(error);
  }

  writable(): void {
    this.events.writable();
  }

  received(bytes: Uint8Array): void {
    this.events.received(bytes);
  }

  ended(): void {
    this.events.ended();
  }

  closed(error: Error | undefined): void {
    this.forget();
    this.events.closed(error);
  }
}

function slotAt(hash: number, probe: number): number {
  return ((hash + probe) & (SLOTS - 1)) * SLOT_WORDS;
}

/** A connection's mark, which is never 0. */
function markOf(identity: Int32Array): number {
  return Math.imul(hashOf(identity, 0x5bd1e995), 3) || 1;
}

function destinationOf(identity: Int32Array): number {
  let hash = identity[PORTS]! & 0xffff;
  for (let word = SERVER; word < SERVER + ADDRESS_WORDS; word++) hash = mixed(hash, identity[word]!);
  return hash & (DESTINATIONS - 1);
}

function hashOf(identity: Int32Array, seed: number): number {
  let hash = seed;
  for (let word = 0; word < CONNECTION_WORDS; word++) hash = mixed(hash, identity[word]!);
  return hash;
}

/** A step of murmur3. It needs no key, because only this program puts connections into the table. */
function mixed(hash: number, word: number): number {
  const next = Math.imul(hash ^ Math.imul(word, 0xcc9e2d51), 0x85ebca6b);
  return next ^ (next >>> 15);
}

/** Writes an address in the form of identities: IPv4 in IPv6 (RFC 4291, 2.5.5.2). */
function writeAddress(identity: Int32Array, at: number, text: string): void {
  // An address may have its zone behind it (RFC 4007, section 11).
  const address = text.split("%", 1)[0]!;
  const groups = addressGroups(address, versionOf(address)) ?? [];
  for (let word = 0; word < ADDRESS_WORDS; word++)
    identity[at + word] = ((groups[2 * word] ?? 0) << 16) | (groups[2 * word + 1] ?? 0);
}
