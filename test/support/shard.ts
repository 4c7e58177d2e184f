/** A whole shard with connections that the test controls. */
import type { Connector, SocketEvents } from "../../src/forward/socket.ts";
import { Counters } from "../../src/observe/counters.ts";
import type { ShardOptions } from "../../src/shard/setup.ts";
import { Shard } from "../../src/shard/shard.ts";
import { USUAL } from "./usual.ts";
import { UNTOLD } from "./untold.ts";

/** Its traffic must have this VNI and port. */
export const SHARD_VNI = 7;
export const SHARD_PORT = 80;

/** `connections`: the connections that it has asked for, in this order; none is open yet. */
export function shardOnItsOwn(options: Partial<ShardOptions> & Pick<ShardOptions, "mode">, now: () => number) {
  const counters = new Counters();
  const connections: SocketEvents[] = [];
  const connector: Connector = {
    connect: (_address, events) => void connections.push(events),
    lookup: (name, found) => found([name]),
    afterEvents: (callback) => callback(),
  };
  const http = {
    pipelineDepth: 1,
    maxWaitingRequests: 100_000,
    maxRequestBytes: 1000,
    maxHeaderBytes: 1000,
    responseTimeoutMs: 1000,
  };
  const limits = {
    maxPendingPackets: 32,
    gapTimeoutMs: 1000,
    idleTimeoutMs: 300_000,
    maxFlows: 1000,
    sourceWaits: false,
    maxBufferMib: 16,
    maxRetries: 10,
    connectTimeoutMs: 1000,
  };
  const ours = {
    vxlanPort: 4789,
    vnis: [SHARD_VNI],
    ports: [SHARD_PORT],
    address: { host: "endpoint", port: 1 },
    measuresDelay: true,
  };
  const shard = new Shard({ ...USUAL, ...http, ...limits, ...ours, ...options }, counters, UNTOLD, connector, now);
  return { shard, counters, connections };
}
