/** The endpoint, and further destinations beside it, as one connector. */
import type { ForwardAddress } from "../../src/address.ts";
import type { Connector, SocketEvents } from "../../src/forward/socket.ts";
import type { SimulatedEndpoint } from "./simulated-endpoint.ts";

const NAME = "also-";

/** The addresses of this many further destinations. */
export function furtherAddresses(count: number): ForwardAddress[] {
  return Array.from({ length: count }, (_, i) => ({ host: `${NAME}${i}`, port: 1 }));
}

export class Destinations implements Connector {
  /** Called when all events have been delivered. */
  private after: (() => void)[] = [];

  constructor(
    private readonly endpoint: SimulatedEndpoint,
    private readonly others: readonly SimulatedEndpoint[],
  ) {}

  connect(address: ForwardAddress, events: SocketEvents): void {
    const { host } = address;
    const destination = host.startsWith(NAME) ? this.others[Number(host.slice(NAME.length))]! : this.endpoint;
    destination.connect(address, events);
  }

  lookup(name: string, found: (addresses: readonly string[]) => void): void {
    this.endpoint.lookup(name, found);
  }

  afterEvents(callback: () => void): void {
    this.after.push(callback);
  }

  step(): void {
    // The endpoint's events come directly if it is alone.
    this.endpoint.step();
    for (const other of this.others) other.step();
    while (this.after.length > 0) for (const callback of this.after.splice(0)) callback();
  }
}
