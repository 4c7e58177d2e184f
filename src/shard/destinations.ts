/** A shard's destinations: the endpoint and the further ones, each with its part of --max-buffer-mib. */
import type { ForwardAddress } from "../address.ts";
import type { ForwardCounters } from "../forward/counters.ts";
import { type DestinationReport, reportOf } from "../forward/destination-options.ts";
import { Destination } from "../forward/destination.ts";
import { HeldMemory } from "../forward/held-memory.ts";
import type { Connector } from "../forward/socket.ts";
import { type AskedProtocol, Tls } from "../forward/tls.ts";
import type { ArrayPool } from "../memory/array-pool.ts";
import { Budget } from "../memory/budget.ts";
import type { Counters } from "../observe/counters.ts";
import type { ShardOptions } from "./setup.ts";

/**
 * The share of --max-buffer-mib for further destinations, in equal parts: so none can take the memory that another
 * needs.
 */
const FURTHER_SHARE = 1 / 2;

/** The destinations, the endpoint first. Throws RefusalError. */
export function destinationsFor(
  options: ShardOptions,
  bufferBytes: number,
  pool: ArrayPool,
  counters: Counters,
  report: DestinationReport,
  connector: Connector,
  now: () => number,
): [Destination, ...Destination[]] {
  const { address, also, tls, files, mode } = options;
  const furtherBytes = also.length === 0 ? 0 : bufferBytes * FURTHER_SHARE;
  const made = (to: ForwardAddress, own: ForwardCounters, bytes: number, told: DestinationReport): Destination => {
    const speaking = (protocol: AskedProtocol) =>
      to.isSecure === true && tls !== null ? new Tls(to.host, tls, protocol) : null;
    const protocols = { tls: speaking(mode === "http" ? "http/1.1" : ""), http2Tls: speaking("h2") };
    const memory = new HeldMemory(new Budget(bytes), pool);
    const way = files?.connector(to) ?? connector;
    return new Destination({ ...options, address: to, ...protocols }, own, memory, told, way, now);
  };
  return [
    made(address, counters, bufferBytes - furtherBytes, report),
    ...also.map((to, i) => made(to, counters.destinations[i]!, furtherBytes / also.length, reportOf(report, i + 1))),
  ];
}
