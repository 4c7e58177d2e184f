/** A connection's client, as rules and edits know it. */
import { addressText, groupsOfWords } from "../http/client-address.ts";

const ADDRESS_WORDS = 4;
const PORTS_WORD = 2 * ADDRESS_WORDS;

/** The client of one connection. */
export class Client {
  /** As {@link addressText} writes it. */
  readonly address: string;
  /** The eight groups of the address (an IPv4 address is mapped to IPv6). */
  readonly groups: readonly number[];
  /** The port that the client has connected to. */
  readonly serverPort: number;

  /**
   * `identity`: the connection's: both addresses, the client's first, and both ports. `groups`: the client's address,
   * if a PROXY protocol header has named another one.
   */
  constructor(
    private readonly identity: Int32Array,
    groups?: readonly number[],
  ) {
    this.groups = groups ?? groupsOfWords(identity.subarray(0, ADDRESS_WORDS));
    this.address = addressText(this.groups);
    this.serverPort = identity[PORTS_WORD]! & 0xffff;
  }

  /** Both addresses and ports: the same key on every machine that sees the connection. */
  get connectionKey(): string {
    return this.identity.subarray(0, PORTS_WORD + 1).join();
  }
}
