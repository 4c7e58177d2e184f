/**
 * The PROXY protocol: before all other bytes, a load balancer names the client that it forwards for.
 * https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt
 *
 * Version 1 is a line of at most 107 bytes:
 *
 *     "PROXY" SP ( "TCP4" | "TCP6" ) SP source SP destination SP source-port SP destination-port CRLF
 *     "PROXY" SP "UNKNOWN" [ anything ] CRLF
 *
 * Version 2 is binary:
 *
 *      0                   1                   2                   3
 *      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *     |         signature: 0D 0A 0D 0A 00 0D 0A 51 55 49 54 0A        |
 *     |                                                               |
 *     |                                                               |
 *     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *     |version|command|family |transp.|            length             |
 *     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *     |  source address, destination address, ports, TLVs: `length`   |
 *     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 */
import { LF } from "./chars.ts";
import { addressText, ipv4Text, parseAddress } from "./client-address.ts";
import { latin1 } from "./latin1.ts";
import { DONE, MALFORMED, MORE } from "./outcome.ts";

/** {@link ProxyHeader.outcome}: the bytes do not begin with a PROXY protocol header. */
export const NO_HEADER = 4;

/** The longest line of version 1, with its line end. */
export const V1_BYTES_MAX = 107;
/** The most bytes that may follow version 2's fixed part: as many as nginx accepts. */
export const V2_LENGTH_MAX = 4096;

/** The first bytes of a header of version 1. */
export const V1_PREFIX = new TextEncoder().encode("PROXY ");
/** The first bytes of a header of version 2. */
const V2_SIGNATURE = new TextEncoder().encode("\r\n\r\n\0\r\nQUIT\n");

const V2_HEADER_LEN = 16;
const V2_COMMAND = 12;
const V2_FAMILY = 13;
const V2_LENGTH = 14;

const VERSION_2 = 2;
const COMMAND_LOCAL = 0;
const COMMAND_PROXY = 1;
const FAMILY_IPV4 = 1;
const FAMILY_IPV6 = 2;
const FAMILY_UNIX_MAX = 3;
const TRANSPORT_DATAGRAM_MAX = 2;
/** Length of source and destination address and both ports, by family. */
const ADDRESSES_LEN = [0, 12, 36, 216];
const IPV4_LEN = 4;
const IPV6_LEN = 16;
const PORT_MAX = 65_535;

const V1_LINE = /^PROXY TCP([46]) (\S+) (\S+) (0|[1-9]\d{0,4}) (0|[1-9]\d{0,4})\r\n$/;
const V1_UNKNOWN = /^PROXY UNKNOWN( [^\r\n]*)?\r\n$/;

/** Whether a header may begin with these bytes (one at the least). */
export function mayBeProxyHeader(bytes: Uint8Array, at: number, end: number): boolean {
  const prefix = bytes[at] === V1_PREFIX[0] ? V1_PREFIX : V2_SIGNATURE;
  const length = Math.min(prefix.length, end - at);
  for (let i = 0; i < length; i++) if (bytes[at + i] !== prefix[i]) return false;
  return true;
}

/** Reads a header at the beginning of a connection, in any pieces. Keeps the bytes that it has read. */
export class ProxyHeader {
  /** MORE, DONE, MALFORMED or {@link NO_HEADER}. */
  outcome = MORE;
  /**
   * Once DONE: the address of the client that the connection is for, as {@link addressText} writes it; null: the header
   * does not say (LOCAL, UNKNOWN, UNSPEC).
   */
  client: string | null = null;
  private held = new Uint8Array(V1_BYTES_MAX);
  private heldLength = 0;

  /** The bytes that were read so far: the header once DONE; else they are to be passed on as they are. */
  get bytes(): Uint8Array {
    return this.held.subarray(0, this.heldLength);
  }

  /** Reads on, from `at` to `end` at most. Returns where it stopped. */
  feed(bytes: Uint8Array, at: number, end: number): number {
    while (at < end && this.outcome === MORE) {
      const byte = bytes[at]!;
      if (!this.mayFollow(byte)) return at;
      this.held[this.heldLength++] = byte;
      at++;
      if (this.held[0] === V1_PREFIX[0]) this.lookAtLine(byte);
      else this.lookAtFields();
    }
    return at;
  }

  /** Whether the beginning that all headers have in common goes on with this byte. */
  private mayFollow(byte: number): boolean {
    const { heldLength } = this;
    const first = heldLength === 0 ? byte : this.held[0];
    const prefix = first === V1_PREFIX[0] ? V1_PREFIX : V2_SIGNATURE;
    if (heldLength < prefix.length && byte !== prefix[heldLength]) this.outcome = NO_HEADER;
    return this.outcome === MORE;
  }

  private lookAtLine(byte: number): void {
    if (byte === LF) this.endLine();
    else if (this.heldLength === V1_BYTES_MAX) this.outcome = MALFORMED;
  }

  private endLine(): void {
    const text = latin1(this.held, 0, this.heldLength);
    const fields = V1_LINE.exec(text);
    this.outcome = V1_UNKNOWN.test(text) ? DONE : MALFORMED;
    if (fields === null) return;
    const [, version, source, destination, sourcePort, destinationPort] = fields;
    const of = (address: string) => parseAddress(address, version === "4" ? 4 : 6);
    const address = of(source!);
    const isPort = (text: string) => Number(text) <= PORT_MAX;
    if (address === null || of(destination!) === null || !isPort(sourcePort!) || !isPort(destinationPort!)) return;
    this.client = address;
    this.outcome = DONE;
  }

  private lookAtFields(): void {
    const { held, heldLength } = this;
    if (heldLength < V2_HEADER_LEN) return;
    const length = (held[V2_LENGTH]! << 8) | held[V2_LENGTH + 1]!;
    if (heldLength === V2_HEADER_LEN) {
      if (!this.isKnown(length)) this.outcome = MALFORMED;
      this.grow(V2_HEADER_LEN + Math.min(length, V2_LENGTH_MAX));
    }
    if (heldLength < V2_HEADER_LEN + length || this.outcome !== MORE) return;
    this.outcome = DONE;
    if ((held[V2_COMMAND]! & 0xf) === COMMAND_PROXY) this.client = this.clientOf(held[V2_FAMILY]! >> 4);
  }

  private isKnown(length: number): boolean {
    const { held } = this;
    const command = held[V2_COMMAND]! & 0xf;
    const family = held[V2_FAMILY]! >> 4;
    if (held[V2_COMMAND]! >> 4 !== VERSION_2 || length > V2_LENGTH_MAX) return false;
    // A LOCAL header's family says nothing.
    if (command === COMMAND_LOCAL) return true;
    if (command !== COMMAND_PROXY || family > FAMILY_UNIX_MAX) return false;
    if ((held[V2_FAMILY]! & 0xf) > TRANSPORT_DATAGRAM_MAX) return false;
    return length >= ADDRESSES_LEN[family]!;
  }

  private clientOf(family: number): string | null {
    if (family !== FAMILY_IPV4 && family !== FAMILY_IPV6) return null;
    const addressLength = family === FAMILY_IPV4 ? IPV4_LEN : IPV6_LEN;
    const pair = (at: number) => (this.held[at]! << 8) | this.held[at + 1]!;
    const groups = Array.from({ length: addressLength / 2 }, (_, i) => pair(V2_HEADER_LEN + 2 * i));
    return family === FAMILY_IPV4 ? ipv4Text(groups) : addressText(groups);
  }

  private grow(size: number): void {
    if (size <= this.held.length) return;
    const grown = new Uint8Array(size);
    grown.set(this.bytes);
    this.held = grown;
  }
}
